//! SOCKS5 proxies (RFC 1928), with user name and password (RFC 1929).

use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{
    Credentials,
    fault::{Fault, Target},
};

const VERSION: u8 = 5;
/// Version of the exchange of user name and password.
const PASSWORD_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a connection to `target`.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Target<'_>,
    credentials: Option<&Credentials>,
) -> Result<(), Fault> {
    authenticate(stream, credentials).await?;
    send(stream, &request(target)?).await?;
    let [version, reply, _, kind] = read(stream).await?;
    versioned(version, VERSION)?;
    judge(reply)?;
    // The address that the proxy connects from; all of it must be read, none of it matters.
    let rest = match kind {
        IPV4 => 4 + 2,
        IPV6 => 16 + 2,
        NAME => usize::from(u8::from_be_bytes(read(stream).await?)) + 2,
        other => return Err(Fault::Broken(format!("its answer has an address of the unknown kind {other}"))),
    };
    let mut address = [0; 255 + 2];
    if let Some(address) = address.get_mut(..rest) {
        stream.read_exact(address).await?;
    }
    Ok(())
}

async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    credentials: Option<&Credentials>,
) -> Result<(), Fault> {
    let greeting: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTHENTICATION],
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
    };
    send(stream, greeting).await?;
    let [version, method] = read(stream).await?;
    versioned(version, VERSION)?;
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => Ok(()),
        (PASSWORD, Some(credentials)) => log_in(stream, credentials).await,
        (NOTHING_ACCEPTABLE, None) => Err(Fault::Auth(
            "it wants to be shown who the agent is, set username and password_file in the agent's configuration"
                .to_owned(),
        )),
        (NOTHING_ACCEPTABLE, Some(_)) => Err(Fault::Auth(
            "it takes neither user and password nor nobody: its operator can allow user name and password".to_owned(),
        )),
        (other, _) => Err(Fault::Broken(format!("it chose the authentication {other}, which was not offered"))),
    }
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, credentials: &Credentials) -> Result<(), Fault> {
    let too_long = || Fault::Auth("user name and password have 1 to 255 bytes each in SOCKS5".to_owned());
    let mut request = Zeroizing::new(Vec::with_capacity(3 + 255 + 255));
    request.push(PASSWORD_VERSION);
    for part in [credentials.username.as_str(), credentials.password.expose_secret()] {
        let length = u8::try_from(part.len()).ok().filter(|length| *length > 0).ok_or_else(too_long)?;
        request.push(length);
        request.extend_from_slice(part.as_bytes());
    }
    send(stream, &request).await?;
    let [version, status] = read(stream).await?;
    versioned(version, PASSWORD_VERSION)?;
    if status == 0 {
        return Ok(());
    }
    Err(Fault::Auth(
        "it did not accept user and password, check username and password_file in the agent's configuration".to_owned(),
    ))
}

fn request(target: &Target<'_>) -> Result<Vec<u8>, Fault> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match target {
        Target::Name(name, port) => {
            let length = u8::try_from(name.len()).map_err(|_| Fault::broken("SOCKS5 takes names up to 255 bytes"))?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(name.as_bytes());
            *port
        }
        Target::Address(std::net::SocketAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
        Target::Address(std::net::SocketAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// What a reply means (RFC 1928, section 6).
fn judge(reply: u8) -> Result<(), Fault> {
    Err(match reply {
        0 => return Ok(()),
        2 => Fault::Refused("its rules do not allow it".to_owned()),
        3 => Fault::Unreached("there is no route to its network".to_owned()),
        4 => Fault::Unreached("the host cannot be reached, or its name is unknown to the proxy".to_owned()),
        5 => Fault::Unreached("the connection was refused".to_owned()),
        6 => Fault::Unreached("the way is too long".to_owned()),
        1 => Fault::Unreached("it says no more than that it failed".to_owned()),
        7 => Fault::Refused("it opens no connections to others".to_owned()),
        8 => Fault::Refused("it does not take this kind of address".to_owned()),
        other => Fault::Broken(format!("it gave the unknown reply {other}")),
    })
}

fn versioned(seen: u8, expected: u8) -> Result<(), Fault> {
    if seen == expected { Ok(()) } else { Err(Fault::broken("its answer is not SOCKS5")) }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), Fault> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to the proxy, and what becomes of its answers.
    async fn talk(
        target: Target<'_>,
        credentials: Option<&Credentials>,
        answers: &[u8],
    ) -> (Vec<u8>, Result<(), Fault>) {
        let mut stream = tokio::io::join(std::io::Cursor::new(answers.to_vec()), Vec::new());
        let result = connect(&mut stream, &target, credentials).await;
        (stream.into_inner().1, result)
    }

    fn known() -> Credentials {
        Credentials { username: "me".to_owned(), password: "pw".into() }
    }

    #[tokio::test]
    async fn names_and_addresses_are_written_as_the_standard_says() {
        let fine = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        let (said, result) = talk(Target::of("desk", 443), None, &fine).await;
        assert_eq!((said, result), ([&[5, 1, 0, 5, 1, 0, 3, 4][..], b"desk", &[1, 187]].concat(), Ok(())));
        let (said, _) = talk(Target::of("10.1.2.3", 80), None, &fine).await;
        assert_eq!(said[3..], [5, 1, 0, 1, 10, 1, 2, 3, 0, 80]);
        let (said, _) = talk(Target::of("[::1]", 80), None, &fine).await;
        assert_eq!(said[3..8], [5, 1, 0, 4, 0]);
        let long = "x".repeat(256);
        let (_, result) = talk(Target::of(&long, 80), None, &fine).await;
        assert_eq!(result, Err(Fault::broken("SOCKS5 takes names up to 255 bytes")));
    }

    #[tokio::test]
    async fn a_password_is_shown_only_to_a_proxy_that_wants_one() {
        let known = known();
        let granted = [5, 2, 1, 0, 5, 0, 0, 3, 1, b'x', 0, 80];
        let (said, result) = talk(Target::of("desk", 443), Some(&known), &granted).await;
        assert_eq!((&said[..11], result), (&[5, 2, 0, 2, 1, 2, b'm', b'e', 2, b'p', b'w'][..], Ok(())));
        let open = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        let (said, result) = talk(Target::of("desk", 443), Some(&known), &open).await;
        assert!(result.is_ok() && !said.windows(2).any(|bytes| bytes == b"pw"));
        let (_, result) = talk(Target::of("desk", 443), Some(&known), &[5, 2, 1, 1]).await;
        assert!(matches!(result, Err(Fault::Auth(reason)) if reason.starts_with("it did not accept")));
        let (_, result) = talk(Target::of("desk", 443), None, &[5, 0xff]).await;
        assert!(matches!(result, Err(Fault::Auth(reason)) if reason.contains("set username")));
        let (_, result) = talk(Target::of("desk", 443), None, &[5, 2]).await;
        assert!(matches!(result, Err(Fault::Broken(reason)) if reason.contains("not offered")));
    }

    #[tokio::test]
    async fn every_reply_becomes_a_cause() {
        for (reply, expected) in [
            (1, "Unreached"),
            (2, "Refused"),
            (3, "Unreached"),
            (4, "Unreached"),
            (5, "Unreached"),
            (6, "Unreached"),
            (7, "Refused"),
            (8, "Refused"),
            (9, "Broken"),
            (255, "Broken"),
        ] {
            let (_, result) = talk(Target::of("desk", 443), None, &[5, 0, 5, reply, 0, 1]).await;
            assert!(format!("{:?}", result.unwrap_err()).starts_with(expected), "{reply}");
        }
    }

    #[tokio::test]
    async fn answers_that_are_not_socks_end_at_once() {
        for answers in [&b"HTTP/1.1 400 Bad\r\n"[..], &[4, 0], &[5, 0, 4, 0, 0, 1], &[5, 0, 5, 0, 0, 9]] {
            let (_, result) = talk(Target::of("desk", 443), None, answers).await;
            assert!(matches!(result, Err(Fault::Broken(_))), "{answers:?}");
        }
        for cut in 0..12 {
            let whole = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
            let (_, result) = talk(Target::of("desk", 443), None, &whole[..cut]).await;
            assert_eq!(result, Err(Fault::broken("it closed the connection before it had answered")), "{cut}");
        }
    }
}
