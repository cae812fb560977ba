//! The signature of standardwebhooks.com: HMAC-SHA256 over `id.timestamp.body`, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The bytes of a key.
///
/// # Errors
/// When what follows `whsec_` is no base64, or the key is empty.
pub(crate) fn key(text: &str) -> Result<Vec<u8>, String> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| "`signing-key`: what follows whsec_ is no base64")?
        }
        None => text.as_bytes().to_vec(),
    };
    if bytes.is_empty() { Err("`signing-key` is empty".into()) } else { Ok(bytes) }
}

/// The value of `webhook-signature`.
pub(crate) fn sign(text: &str, id: &str, time_s: u64, body: &[u8]) -> String {
    // HMAC takes keys of any length, and `key` was checked when the plugin started
    let Some(mut mac) = key(text).ok().and_then(|key| Hmac::<Sha256>::new_from_slice(&key).ok()) else {
        return String::new();
    };
    mac.update(format!("{id}.{time_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // the example of the reference implementation
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_that_cannot_be_is_refused() {
        assert!(key("").is_err() && key("whsec_").is_err() && key("whsec_*").is_err());
        assert_eq!(key("plain").unwrap(), b"plain");
    }
}
