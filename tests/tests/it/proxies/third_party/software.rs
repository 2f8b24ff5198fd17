//! Proxies as processes, and the certificates they need.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command as Now, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_rustls::rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use wherry_tests::world::{Process, wait};

use super::super::{
    island::SHORE,
    voyage::{Gate, PASSWORD, USER},
};

/// A running program with its folder and log.
struct Running {
    log: PathBuf,
    _process: Process,
    _folder: TempDir,
}

pub(super) struct Squid {
    port: u16,
    running: Running,
}

pub(super) struct Tinyproxy(Running);

pub(super) struct Dante(Running);

/// A certificate authority in files.
pub(super) struct Authority {
    pub(super) certificate: PathBuf,
    both: PathBuf,
}

/// What a squid that opens TLS calls the shore; nobody else knows the name.
pub(super) const HARBOUR: &str = "harbour.test";
/// Where the helpers of squid lie.
const HELPERS: &str = "/usr/lib/squid";
const SQUID: u16 = 3128;
const NTLM: u16 = 3138;
const TINYPROXY: u16 = 8888;
const DANTE: u16 = 1080;

impl Squid {
    /// With these rules, in which `known` stands for whoever shows the password.
    pub(super) async fn start(rules: &str) -> Result<Self> {
        let folder = folder()?;
        let users = folder.path().join("users");
        fs::write(&users, format!("{USER}:{}\n", hashed("-apr1")?))?;
        let authentication = format!(
            "auth_param basic program {HELPERS}/basic_ncsa_auth {}\nauth_param basic children 1 startup=1\n\
             acl known proxy_auth REQUIRED\n",
            users.display()
        );
        Self::run(folder, SQUID, &format!("http_port {SHORE}:{SQUID}\n{authentication}{rules}")).await
    }

    /// One that takes NTLM only.
    pub(super) async fn start_ntlm() -> Result<Self> {
        let settings = format!(
            "http_port {SHORE}:{NTLM}\nauth_param ntlm program {HELPERS}/ntlm_fake_auth\n\
             auth_param ntlm children 1 startup=1\nacl known proxy_auth REQUIRED\nhttp_access deny !known\n\
             http_access allow known\n"
        );
        Self::run(folder()?, NTLM, &settings).await
    }

    /// One that opens TLS with certificates of its own, except to the controller.
    pub(super) async fn start_opening(authority: &Authority, controller: u16) -> Result<Self> {
        let folder = folder()?;
        let database = folder.path().join("certificates");
        let maker = format!("{HELPERS}/security_file_certgen");
        finish(Now::new(&maker).args(["-c", "-s"]).arg(&database).args(["-M", "4MB"]))?;
        finish(Now::new("chown").args(["-R", "proxy"]).arg(&database))?;
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, format!("{SHORE} {HARBOUR}\n"))?;
        let settings = format!(
            "http_port {SHORE}:{SQUID} ssl-bump tls-cert={} generate-host-certificates=on\nhosts_file {}\n\
             sslcrtd_program {maker} -s {} -M 4MB\nsslcrtd_children 1 startup=1\n\
             tls_outgoing_options flags=DONT_VERIFY_PEER\nacl controller port {controller}\n\
             ssl_bump splice controller\nssl_bump bump all\nhttp_access allow all\n",
            authority.both.display(),
            hosts.display(),
            database.display()
        );
        Self::run(folder, SQUID, &settings).await
    }

    async fn run(folder: TempDir, port: u16, settings: &str) -> Result<Self> {
        let at = folder.path();
        let log = at.join("access.log");
        let config = at.join("squid.conf");
        let own = format!(
            "{settings}access_log stdio:{}\ncache_log {}\npid_filename none\ncache deny all\n\
             shutdown_lifetime 0 seconds\nvisible_hostname squid\nlogfile_rotate 0\n",
            log.display(),
            at.join("cache.log").display()
        );
        fs::write(&config, own)?;
        let mut command = Command::new("/usr/sbin/squid");
        command.arg("-N").arg("-f").arg(&config).stdout(Stdio::null());
        let running = Running::start("squid", command, folder, log, port).await?;
        Ok(Self { port, running })
    }

    pub(super) fn gate(&self) -> Gate {
        Gate::open("squid", &format!("http://{SHORE}:{}", self.port), self.port)
    }

    /// Waits until its log has a line with these words in this order, parted by ` .* `; gives the log.
    pub(super) async fn has_logged(&self, words: &str) -> Result<String> {
        self.running.has_logged(words).await
    }
}

impl Tinyproxy {
    pub(super) async fn start() -> Result<Self> {
        let folder = folder()?;
        let (config, log) = (folder.path().join("tinyproxy.conf"), folder.path().join("tinyproxy.log"));
        let settings = format!(
            "Port {TINYPROXY}\nListen {SHORE}\nTimeout 600\nMaxClients 100\nLogFile \"{}\"\nLogLevel Connect\n\
             BasicAuth {USER} {PASSWORD}\n",
            log.display()
        );
        fs::write(&config, settings)?;
        let mut command = Command::new("/usr/bin/tinyproxy");
        command.arg("-d").arg("-c").arg(&config).stdout(Stdio::null());
        Running::start("tinyproxy", command, folder, log, TINYPROXY).await.map(Self)
    }

    pub(super) fn gate(&self) -> Gate {
        Gate::open("tinyproxy", &format!("http://{SHORE}:{TINYPROXY}"), TINYPROXY)
    }

    pub(super) async fn has_logged(&self, words: &str) -> Result<String> {
        self.0.has_logged(words).await
    }
}

impl Dante {
    /// It asks the machine for users, so the machine's list gets one more that nobody else sees.
    pub(super) async fn start() -> Result<Self> {
        let folder = folder()?;
        let line = |name: &str, line: &str| {
            let own = folder.path().join(name);
            fs::write(&own, fs::read_to_string(format!("/etc/{name}"))? + line)?;
            finish(Now::new("mount").arg("--bind").arg(&own).arg(format!("/etc/{name}")))
        };
        line("passwd", &format!("{USER}:x:64000:65534::/nonexistent:/usr/sbin/nologin\n"))?;
        line("shadow", &format!("{USER}:{}:19000:0:99999:7:::\n", hashed("-6")?))?;
        let (config, log) = (folder.path().join("danted.conf"), folder.path().join("danted.log"));
        let settings = format!(
            "logoutput: {}\ninternal: {SHORE} port = {DANTE}\nexternal: 127.0.0.1\nclientmethod: none\n\
             socksmethod: username\nuser.privileged: root\nuser.unprivileged: nobody\n\
             client pass {{\nfrom: 0.0.0.0/0 to: 0.0.0.0/0\n}}\n\
             socks pass {{\nfrom: 0.0.0.0/0 to: 0.0.0.0/0\nprotocol: tcp\nlog: connect error\n}}\n",
            log.display()
        );
        fs::write(&config, settings)?;
        let mut command = Command::new("/usr/sbin/danted");
        command.arg("-f").arg(&config).arg("-p").arg(folder.path().join("pid")).stdout(Stdio::null());
        Running::start("dante", command, folder, log, DANTE).await.map(Self)
    }

    pub(super) fn gate(&self, scheme: &str) -> Gate {
        Gate::open("dante", &format!("{scheme}://{SHORE}:{DANTE}"), DANTE)
    }

    pub(super) async fn has_logged(&self, words: &str) -> Result<String> {
        self.0.has_logged(words).await
    }
}

impl Running {
    async fn start(name: &str, command: Command, folder: TempDir, log: PathBuf, port: u16) -> Result<Self> {
        let mut process = Process::start(name, command, &folder.path().join("errors.log"))?;
        wait::until(&format!("{name} listens"), async || {
            process.still_runs()?;
            Ok(tokio::net::TcpStream::connect((SHORE, port)).await.ok().map(drop))
        })
        .await?;
        Ok(Self { log, _process: process, _folder: folder })
    }

    async fn has_logged(&self, words: &str) -> Result<String> {
        let matches = |line: &str| {
            words.split(" .* ").try_fold(line, |rest, part| rest.split_once(part).map(|it| it.1)).is_some()
        };
        let mut last = String::new();
        let found = wait::until(&format!("the log says {words}"), async || {
            last = fs::read_to_string(&self.log).unwrap_or_default();
            Ok(last.lines().any(matches).then_some(()))
        })
        .await;
        found.with_context(|| last.clone())?;
        Ok(last)
    }
}

/// An authority that nobody trusts yet.
pub(super) fn authority(folder: &Path, name: &str) -> Result<Authority> {
    let (key, certificate, both) = (folder.join("ca.key"), folder.join("ca.crt"), folder.join("ca.pem"));
    make(name, &key, &certificate, None)?;
    fs::write(&both, [fs::read(&key)?, fs::read(&certificate)?].concat())?;
    fs::set_permissions(&both, fs::Permissions::from_mode(0o644))?;
    // Squid reads it with the rights of its own user.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    Ok(Authority { certificate, both })
}

/// TLS for a system at `address`, with a certificate that it signed itself.
pub(super) fn certificate(folder: &Path, address: &str) -> Result<Arc<ServerConfig>> {
    let (key, certificate) = (folder.join("system.key"), folder.join("system.crt"));
    make("system", &key, &certificate, Some(address))?;
    let chain = CertificateDer::from_pem_file(&certificate)?;
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(Arc::new(config.with_single_cert(vec![chain], PrivateKeyDer::from_pem_file(&key)?)?))
}

fn make(name: &str, key: &Path, certificate: &Path, address: Option<&str>) -> Result<()> {
    let mut command = Now::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", &format!("/CN={name}")]);
    if let Some(address) = address {
        command.args(["-addext", &format!("subjectAltName=IP:{address}")]);
    }
    finish(command.arg("-keyout").arg(key).arg("-out").arg(certificate))
}

fn hashed(kind: &str) -> Result<String> {
    let output = Now::new("openssl").args(["passwd", kind, PASSWORD]).output()?;
    ensure!(output.status.success(), "openssl cannot hash a password");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A folder that programs with fewer rights may write to.
fn folder() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
    Ok(folder)
}

fn finish(command: &mut Now) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
