//! What is checked before a component may become a connector.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::error::HostError;
use crate::settings::HostSettings;
use crate::text;

const PAGE: u64 = 64 << 10;
/// `\0asm`, binary format 13, layer 1: a component. A core module has format 1, layer 0.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// WASI packages on offer. Files and sockets are not among them: a connector that asks for them is not one.
const WASI: [&str; 5] = ["wasi:io", "wasi:clocks", "wasi:random", "wasi:cli", "wasi:http"];
const CONTRACT: &str = "wherry:connector";

/// Refuses what is too large or plainly not a component, before any parser sees it.
pub(crate) fn check_bytes(wasm: &[u8], settings: &HostSettings) -> Result<(), HostError> {
    if wasm.len() > settings.component_bytes {
        return Err(HostError::TooLarge { bytes: wasm.len(), limit: settings.component_bytes });
    }
    let reason = match wasm.first_chunk::<8>() {
        Some(&COMPONENT) => return Ok(()),
        Some(&MODULE) => "it is a core module; build it for wasm32-wasip2",
        Some([0x7f, b'E', b'L', b'F', ..]) => "it is compiled code, which is accepted from nobody",
        Some([b'\0', b'a', b's', b'm', ..]) => "its version is unknown",
        Some(_) | None => "it does not begin as one",
    };
    Err(HostError::InvalidComponent(reason.into()))
}

/// Refuses imports outside the contract and WASI 0.2, and needs beyond the limits.
pub(crate) fn check_component(
    engine: &Engine,
    component: &Component,
    settings: &HostSettings,
) -> Result<(), HostError> {
    for (name, item) in component.component_type().imports(engine) {
        let is_interface = matches!(item.ty, ComponentItem::ComponentInstance(_));
        if !is_interface || !is_offered(name) {
            return Err(HostError::ImportForbidden { name: text::one_line(name, 128) });
        }
    }
    let Some(needs) = component.resources_required() else {
        return Err(HostError::InvalidComponent("it imports modules".into()));
    };
    let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE);
    if memory > settings.memory_bytes as u64 {
        let limit = format!("{} bytes", settings.memory_bytes);
        return Err(HostError::LimitDeclared { what: format!("{memory} bytes of memory"), limit });
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > settings.table_elements as u64 {
        let limit = format!("{}", settings.table_elements);
        return Err(HostError::LimitDeclared { what: format!("a table of {elements} elements"), limit });
    }
    Ok(())
}

/// `package/interface@version`, where the package is ours in major version 1 or WASI 0.2.
fn is_offered(import: &str) -> bool {
    let Some((package, rest)) = import.split_once('/') else { return false };
    let Some((_, version)) = rest.split_once('@') else { return false };
    match package {
        CONTRACT => version.starts_with("1."),
        wasi => WASI.contains(&wasi) && version.starts_with("0.2."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        check_bytes(bytes, &HostSettings::default()).unwrap_err().to_string()
    }

    #[test]
    fn only_the_contract_and_wasi_0_2_are_offered() {
        for good in ["wherry:connector/rows@1.0.0", "wherry:connector/rows@1.7.2", "wasi:http/types@0.2.9"] {
            assert!(is_offered(good), "{good}");
        }
        let bad = [
            "evil:host/thing",
            "evil:host/thing@1.0.0",
            "wherry:connector/rows@2.0.0",
            "wherry:connector/rows",
            "wherry:connector-evil/rows@1.0.0",
            "wasi:http/types@0.3.0",
            "wasi:filesystem/types@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "wasi:nn/graph@0.2.0",
            "print",
        ];
        for bad in bad {
            assert!(!is_offered(bad), "{bad}");
        }
    }

    #[test]
    fn everything_but_a_component_is_refused_with_a_reason() {
        assert!(refusal(b"").contains("does not begin as one"));
        assert!(refusal(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(refusal(b"\x7fELF\x02\x01\x01\0\0").contains("compiled code"));
        assert!(refusal(b"PK\x03\x04 a zip archive").contains("does not begin as one"));
        assert!(refusal(b"(component)").contains("does not begin as one"));
    }

    #[test]
    fn a_component_over_the_size_limit_is_refused_unread() {
        let settings = HostSettings { component_bytes: 10, ..HostSettings::default() };
        let refusal = check_bytes(&[0; 11], &settings).unwrap_err();
        assert_eq!(refusal, HostError::TooLarge { bytes: 11, limit: 10 });
    }
}
