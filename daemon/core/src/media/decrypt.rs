//! Decryption of segments that are encrypted whole (RFC 8216, 4.3.2.4: METHOD=AES-128).

use aes::Aes128;
use bytes::Bytes;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

use crate::fault::Fault;

/// The size of a block, in bytes.
const BLOCK: usize = 16;

/// Decrypts a whole object: AES-128-CBC with PKCS7 padding.
///
/// # Errors
/// `Malformed` when the length is no positive multiple of 16, or when the padding is wrong, which tells of a wrong
/// key or vector, or of a broken object.
pub fn decrypt(key: &[u8; 16], iv: &[u8; 16], bytes: Bytes) -> Result<Bytes, Fault> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
        let length = bytes.len();
        return Err(Fault::malformed(format!(
            "an encrypted object of {length} bytes, no multiple of {BLOCK}"
        )));
    }
    // in place where nobody else holds the bytes, as with a fresh body
    let mut buffer = bytes.try_into_mut().unwrap_or_else(|shared| shared.as_ref().into());
    let length = Decryptor::<Aes128>::new(key.into(), iv.into())
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| Fault::malformed("an encrypted object with wrong padding: is it the right key?"))?
        .len();
    buffer.truncate(length);
    Ok(buffer.freeze())
}

#[cfg(test)]
mod tests {
    use cbc::Encryptor;
    use cbc::cipher::BlockModeEncrypt;
    use proptest::prelude::*;

    use super::*;

    fn encrypt(key: &[u8; 16], iv: &[u8; 16], plain: &[u8]) -> Bytes {
        Encryptor::<Aes128>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plain).into()
    }

    #[test]
    fn a_known_vector_is_decrypted() {
        // NIST SP 800-38A, F.2.1, first block, and the padding block behind it
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
        let plain = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let encrypted = encrypt(&key, &iv, &plain);
        assert_eq!(encrypted[..16], 0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128.to_be_bytes());
        assert_eq!(decrypt(&key, &iv, encrypted).unwrap(), plain.as_slice());
    }

    #[test]
    fn wrong_lengths_and_a_wrong_key_are_named() {
        let encrypted = encrypt(&[1; 16], &[2; 16], b"some media");
        for wrong in [Bytes::new(), encrypted.slice(1..)] {
            let fault = decrypt(&[1; 16], &[2; 16], wrong).unwrap_err().to_string();
            assert!(fault.contains("no multiple of 16"), "{fault}");
        }
        let fault = decrypt(&[9; 16], &[2; 16], encrypted).unwrap_err().to_string();
        assert!(fault.contains("wrong padding"), "{fault}");
    }

    proptest! {
        #[test]
        fn what_was_encrypted_comes_back(key: [u8; 16], iv: [u8; 16], plain: Vec<u8>) {
            let encrypted = encrypt(&key, &iv, &plain);
            let shared = encrypted.clone();
            prop_assert_eq!(decrypt(&key, &iv, encrypted).unwrap(), plain.as_slice());
            prop_assert_eq!(decrypt(&key, &iv, shared).unwrap(), plain.as_slice());
        }
    }
}
