//! Where a webhook may go. Whoever may make an endpoint chooses an address that our workers then call from inside the
//! shop's network, so what is private there is out of reach unless the shop allows it.
//!
//! A name is judged by the addresses that it stands for at the moment of the call, and the call goes to the addresses
//! that were judged: a name that is given another meaning in between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Characters of an endpoint's address.
pub(super) const URL_CHARS_MAX: usize = 2_000;

/// Why an address cannot be an endpoint's; the words are for whoever gave it.
pub(super) fn judge(text: &str, private_allowed: bool) -> Result<Url, String> {
    if text.len() > URL_CHARS_MAX {
        return Err(format!("has {} characters, more than {URL_CHARS_MAX}", text.len()));
    }
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if private_allowed => {}
        "http" => return Err("must begin with https://".to_owned()),
        other => return Err(format!("must begin with https://, not {other}:")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password: the signature says who sends".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if !private_allowed && (literal.is_some_and(|ip| !is_public(ip)) || is_local_name(host)) {
        return Err(format!("{host} is inside the network: webhook_private_addresses allows that"));
    }
    Ok(url)
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether an address is one of the open Internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        // This network; carriers' own (RFC 6598); protocol assignments; benchmarks; reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // An IPv4 address in the clothes of IPv6: mapped, compatible, translated (RFC 6052) or tunnelled (6to4).
    let segments = ip.segments();
    let [.., high, low] = segments;
    let tail = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let is_dressed = segments[..5].iter().all(|part| *part == 0) || segments[..2] == [0x64, 0xff9b];
    if is_dressed && !ip.is_loopback() && !ip.is_unspecified() {
        return is_public_v4(tail);
    }
    if segments[0] == 0x2002 {
        return is_public_v4(Ipv4Addr::from((u32::from(segments[1]) << 16) | u32::from(segments[2])));
    }
    // Global unicast is 2000::/3; of it, documentation is not.
    (segments[0] & 0xe000) == 0x2000 && segments[..2] != [0x2001, 0xdb8]
}

/// Gives a name's public addresses and hides the others.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// What the resolver says of a name that stands for nothing public.
pub(super) const PRIVATE: &str = "the name stands for private addresses only";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_told_from_those_outside_in_every_spelling() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_address_that_hides_where_it_goes_is_refused() {
        for bad in [
            "http://shop.example/hook",
            "ftp://shop.example/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://LOCALHOST./x",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://user:pw@shop.example/",
            "https://shop.example/#a",
            "shop.example",
            "https://a.localhost/",
        ] {
            assert!(judge(bad, false).is_err(), "{bad}");
        }
        assert!(judge("https://hooks.shop.example/windlass?for=me", false).is_ok());
        assert!(judge("http://127.0.0.1:9000/hook", true).is_ok());
        assert!(judge(&format!("https://shop.example/{}", "x".repeat(URL_CHARS_MAX)), false).is_err());
    }

    #[tokio::test]
    async fn a_name_for_private_addresses_does_not_resolve() {
        let asked = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert_eq!(asked.err().unwrap().to_string(), PRIVATE);
    }
}
