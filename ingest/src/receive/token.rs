//! The bearer token of the receivers.

use engine::hash::blake3_128;

/// A bearer token, kept as a digest: a memory dump does not give it away.
///
/// Digests are compared, so the time a comparison takes says nothing about the token: an attacker cannot steer
/// the digest of a guess towards the right one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(u128);

impl Token {
    /// The token whose secret is `secret` (without surrounding white space).
    pub fn new(secret: &str) -> Self {
        Self(digest(secret.trim().as_bytes()))
    }

    /// Whether `authorization` (the value of the header) presents this token.
    pub fn matches(self, authorization: Option<&[u8]>) -> bool {
        let presented = authorization.and_then(|value| value.split_at_checked(7));
        presented.is_some_and(|(scheme, secret)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && digest(secret.trim_ascii()) == self.0
        })
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

fn digest(secret: &[u8]) -> u128 {
    blake3_128("tidegate bearer token", &[secret])
}

#[cfg(test)]
mod tests {
    //! What is and is not accepted as the token.

    use super::*;

    #[test]
    fn only_the_whole_secret_matches() {
        let token = Token::new("s3cret\n");
        assert!(token.matches(Some(b"Bearer s3cret")));
        assert!(token.matches(Some(b"bearer  s3cret ")));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Basic s3cret",
            b"Bearer s3cre",
        ] {
            assert!(!token.matches(Some(wrong)));
        }
        assert!(!token.matches(None));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
