//! Credentials as a request carries them (RFC 3261, section 22; RFC 7616): whom it says to log in as.
//!
//! Pure; asked by `check.rs` for requests from addresses where a user is muted, and by the replay. It
//! proves nothing: that is what Kamailio's own authentication is for.
#![forbid(unsafe_code)]

use crate::request::headers;

/// The users of all credentials in a received message, as the script's `$au` gives them: without the
/// domain that may follow. Whoever takes part in a guess is asked about all of them, because only
/// the script knows which it will look at.
pub fn users(received: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names: [&[u8]; 2] = [b"Authorization", b"Proxy-Authorization"];
    let values = names
        .into_iter()
        .flat_map(move |name| headers(received, name));
    values.filter_map(|value| {
        let user = field(value, b"username")?;
        user.split(|byte| *byte == b'@').next()
    })
}

/// The value of a field of a digest header, `name="value"` or `name=value`.
pub fn field<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // The first blank ends the scheme.
    let scheme = value.iter().position(u8::is_ascii_whitespace)?;
    let mut rest = &value[scheme..];
    loop {
        let start = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n'))?;
        rest = &rest[start..];
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (key, after) = (
            rest[..equals].trim_ascii(),
            rest[equals + 1..].trim_ascii_start(),
        );
        let (found, next) = match after.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|byte| *byte == b'"')?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let end = after
                    .iter()
                    .position(|byte| *byte == b',')
                    .unwrap_or(after.len());
                (after[..end].trim_ascii_end(), &after[end..])
            }
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(found);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<&[u8]> {
        users(text).collect()
    }

    #[test]
    fn every_user_that_logs_in_is_named() {
        let text = b"REGISTER sip:a SIP/2.0\r\n\
            Authorization: Digest username=\"anna\", realm=\"a\", nonce=\"1\"\r\n\
            proxy-authorization: Digest realm=b,\r\n username=ben@b\r\n\
            AUTHORIZATION: Digest nonce=\"x, username=no\", Username = \"7001\"\r\n\r\n";
        assert_eq!(all(text), [&b"anna"[..], b"7001", b"ben"]);
    }

    #[test]
    fn what_is_no_credential_names_nobody() {
        for value in [
            "",
            "Digest",
            "Digest x",
            "Digest username",
            "Digest username=\"anna",
            "Basic YQ==",
        ] {
            let text = format!("REGISTER sip:a SIP/2.0\r\nAuthorization: {value}\r\n\r\n");
            assert!(all(text.as_bytes()).is_empty(), "{value}");
        }
        assert!(all(b"REGISTER sip:a SIP/2.0\r\n\r\nAuthorization: Digest username=a").is_empty());
    }
}
