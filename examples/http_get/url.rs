//! Just enough of a URL: `http://host[:port][/path][?query]`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Where a request goes, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Who answers.
    pub host: Host,
    /// On which port; 80 if the text has none.
    pub port: u16,
    /// Path and query, as they stand in the request; begins with `/`.
    pub path: String,
}

/// A name has to be looked up first, an address has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// As in `http://127.0.0.1/` and `http://[::1]/`.
    Address(IpAddr),
    /// As in `http://localhost/`.
    Name(String),
}

/// The port of `http:`.
const DEFAULT_PORT: u16 = 80;

impl Url {
    /// The request for it. `Connection: close` because we ask one thing and leave.
    pub fn request(&self) -> Vec<u8> {
        let Url { host, port, path } = self;
        let port = match *port {
            DEFAULT_PORT => String::new(),
            port => format!(":{port}"),
        };
        format!(
            "GET {path} HTTP/1.1\r\n\
             Host: {host}{port}\r\n\
             User-Agent: ekio-http_get\r\n\
             Accept: */*\r\n\
             Connection: close\r\n\
             \r\n"
        )
        .into_bytes()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// Why a text is no URL for us, in a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn bad<T>(why: impl Into<String>) -> Result<T, BadUrl> {
    Err(BadUrl(why.into()))
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Url, BadUrl> {
        if let Some(odd) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return bad(format!(
                "the URL has {odd:?} in it: write a space as %20, and others as their numbers"
            ));
        }
        let rest = after_scheme(text)?;
        let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_len);
        if authority.contains('@') {
            return bad("the URL has a user's name in it (`@`), which http_get cannot send");
        }
        let (host, port) = split_host(authority)?;
        Ok(Url {
            host,
            port,
            path: request_path(path),
        })
    }
}

fn after_scheme(text: &str) -> Result<&str, BadUrl> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad(format!(
            "a URL begins with http://, as in http://{}",
            if text.is_empty() { "localhost/" } else { text }
        ));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(rest),
        "https" => bad("https is not supported: http_get speaks plain HTTP (http://) only"),
        _ => bad(format!(
            "{scheme}:// is not supported: http_get speaks plain HTTP (http://) only"
        )),
    }
}

fn split_host(authority: &str) -> Result<(Host, u16), BadUrl> {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return bad("the URL has a `[` without its `]`");
        };
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return bad(format!("[{address}] is not an IPv6 address"));
        };
        let port = match port.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if port.is_empty() => DEFAULT_PORT,
            None => return bad(format!("`{port}` after `]` should be a port, as in :80")),
        };
        return Ok((Host::Address(address.into()), port));
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        return bad(format!(
            "an IPv6 address goes into brackets: http://[{authority}]/"
        ));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (authority, DEFAULT_PORT),
    };
    if host.is_empty() {
        return bad("the URL has no host");
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((Host::Address(address), port));
    }
    let is_odd = |c: &char| !(c.is_ascii_alphanumeric() || "-._".contains(*c));
    if let Some(odd) = host.chars().find(is_odd) {
        return bad(format!("a host's name cannot have {odd:?} in it"));
    }
    Ok((Host::Name(host.to_owned()), port))
}

fn parse_port(text: &str) -> Result<u16, BadUrl> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT); // RFC 3986, section 3.2.3, has it so.
    }
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_digits && port != 0 => Ok(port),
        _ => bad(format!("the port `{text}` is not a number from 1 to 65535")),
    }
}

/// Path and query as a request may have them: with a `/` in front, without the fragment, and with
/// the bytes of other alphabets as their numbers.
fn request_path(path: &str) -> String {
    let path = path.split_once('#').map_or(path, |(path, _fragment)| path);
    let mut clean = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        clean.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii() {
            clean.push(char::from(byte));
        } else {
            clean.push_str(&format!("%{byte:02X}"));
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String) {
        let url: Url = text.parse().unwrap();
        (url.host.to_string(), url.port, url.path)
    }

    fn why(text: &str) -> String {
        text.parse::<Url>().unwrap_err().to_string()
    }

    #[test]
    fn good_urls() {
        for (text, host, port, path) in [
            ("http://localhost", "localhost", 80, "/"),
            ("HTTP://localhost/", "localhost", 80, "/"),
            ("http://a-b.c_d:8080/x/y?z=1", "a-b.c_d", 8080, "/x/y?z=1"),
            ("http://localhost?q", "localhost", 80, "/?q"),
            ("http://localhost:#top", "localhost", 80, "/"),
            ("http://localhost/a#b?c", "localhost", 80, "/a"),
            ("http://127.0.0.1:1/", "127.0.0.1", 1, "/"),
            ("http://[::1]", "[::1]", 80, "/"),
            ("http://[2001:db8::7]:65535/p", "[2001:db8::7]", 65535, "/p"),
            (
                "http://localhost/grüße@[]:",
                "localhost",
                80,
                "/gr%C3%BC%C3%9Fe@[]:",
            ),
        ] {
            assert_eq!(parts(text), (host.into(), port, path.into()), "{text}");
        }
    }

    #[test]
    fn addresses_need_no_look_up() {
        let host = |text: &str| text.parse::<Url>().unwrap().host;
        assert!(matches!(host("http://127.0.0.1/"), Host::Address(_)));
        assert!(matches!(host("http://[::1]/"), Host::Address(_)));
        assert!(matches!(host("http://localhost/"), Host::Name(_)));
    }

    #[test]
    fn bad_urls_say_why() {
        for (text, hint) in [
            ("", "http://localhost/"),
            ("example.org/x", "as in http://example.org/x"),
            ("localhost:80", "begins with http://"),
            ("https://localhost/", "https is not supported"),
            ("HTTPS://localhost/", "https is not supported"),
            ("ftp://localhost/", "ftp:// is not supported"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:80/", "no host"),
            ("http://localhost:0/", "from 1 to 65535"),
            ("http://localhost:65536/", "from 1 to 65535"),
            ("http://localhost:+80/", "from 1 to 65535"),
            ("http://localhost:http/", "from 1 to 65535"),
            ("http://::1/", "http://[::1]/"),
            ("http://[::1/", "without its `]`"),
            ("http://[::g]/", "not an IPv6 address"),
            ("http://[::1]80/", "should be a port"),
            ("http://me@localhost/", "user's name"),
            ("http://local host/", "%20"),
            ("http://localhost/a\r\nHost: b", "has '\\r' in it"),
            ("http://bücher.example/", "cannot have 'ü'"),
            ("http://a,b/", "cannot have ','"),
        ] {
            assert!(why(text).contains(hint), "{text:?}: {}", why(text));
        }
    }

    #[test]
    fn a_request_names_the_port_only_if_it_is_another() {
        let request = |text: &str| String::from_utf8(text.parse::<Url>().unwrap().request());
        let plain = request("http://localhost/a?b").unwrap();
        assert!(plain.starts_with("GET /a?b HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(plain.ends_with("\r\nConnection: close\r\n\r\n"));
        let other = request("http://[::1]:8080").unwrap();
        assert!(other.starts_with("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n"));
    }
}
