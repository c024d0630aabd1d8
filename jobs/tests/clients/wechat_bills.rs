//! Bills: what WeChat Pay says to the question for one, and the file that counts only by its hash.

use windlass_jobs::outside::Fault;
use windlass_jobs::payments::wechat_pay::{BillAnswer, BillKind, BillLink, DownloadError, Packing};
use windlass_testing::script::{Reply, Script, json, status};

use crate::wechat_pay::{is_signed_by_merchant, pay, refusal, signed};

/// SHA1 of `bill`.
const BILL_SHA1: &str = "c692d6a10598e0a801576fdd4ecf3c37e45bfbc4";

async fn download(reply: Reply, bytes_max: u64) -> Result<Vec<u8>, DownloadError> {
    download_packed(reply, Packing::Plain, bytes_max).await
}

async fn download_packed(reply: Reply, packing: Packing, bytes_max: u64) -> Result<Vec<u8>, DownloadError> {
    let server = Script::new(move |_| reply.clone()).await;
    let url = format!("{}/v3/billdownload/file?token=FAKE%2Babc", server.url());
    let link = BillLink { url: url.into(), sha1: BILL_SHA1.into(), packing };
    let mut download = pay(&server.url()).download_bill(&link, bytes_max).await?;
    assert!(is_signed_by_merchant(&server.requests()[0]));
    let mut file = Vec::new();
    while let Some(bytes) = download.next().await? {
        file.extend(bytes);
    }
    Ok(file)
}

#[tokio::test]
async fn a_bill_is_there_or_being_made_or_there_is_none() {
    let ready =
        format!(r#"{{"hash_type":"SHA1","hash_value":"{}","download_url":"https://x/y"}}"#, "AB".repeat(20));
    let link = BillLink { url: "https://x/y".into(), sha1: "ab".repeat(20), packing: Packing::Plain };
    for (reply, expected) in [
        (signed(200, &ready), BillAnswer::Ready(link)),
        (refusal(400, "STATEMENT_CREATING"), BillAnswer::Creating),
        (refusal(400, "NO_STATEMENT_EXIST"), BillAnswer::NoStatement),
    ] {
        let server = Script::new(move |_| reply.clone()).await;
        let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
        let answer = pay(&server.url()).request_bill(day, BillKind::TradeAll, Packing::Plain).await;
        assert_eq!(answer.unwrap(), expected);
        assert_eq!(server.requests()[0].target, "/v3/bill/tradebill?bill_date=2026-01-05&bill_type=ALL");
    }
}

#[tokio::test]
async fn a_bill_counts_only_when_its_bytes_are_those_of_its_hash() {
    assert_eq!(download(json("bill"), 4).await.unwrap(), b"bill");
    let fault = async |reply: Reply| match download(reply, 4).await {
        Err(DownloadError::Outside(error)) => error.fault,
        other => panic!("{other:?}"),
    };
    for reply in [status(403, "expired"), status(404, "gone"), Reply::Torn("bill".into()), Reply::Silence] {
        assert_eq!(fault(reply).await, Fault::Unavailable);
    }
    let wrong = download(json("bilk"), 4).await;
    assert!(matches!(wrong, Err(DownloadError::WrongHash { said, .. }) if said == BILL_SHA1));
    assert!(matches!(download(json("bill"), 3).await, Err(DownloadError::TooLong { bytes_max: 3 })));
}

#[tokio::test]
async fn a_compressed_bill_is_judged_by_what_it_unpacks_to() {
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let get = async |body: Vec<u8>| download_packed(Reply::Bytes(body), Packing::Gzip, 100_000).await;
    assert_eq!(get(packed(b"bill")).await.unwrap(), b"bill");
    assert!(matches!(get(packed(b"bilk")).await, Err(DownloadError::WrongHash { .. })));
    for broken in [b"<html>".to_vec(), packed(b"bill")[..12].to_vec()] {
        let error = get(broken).await.unwrap_err();
        assert!(
            matches!(&error, DownloadError::Outside(error) if error.fault == Fault::Unavailable),
            "{error}"
        );
    }
    let bomb = packed(&vec![b'0'; 100_001]);
    assert!(bomb.len() < 1_000 && matches!(get(bomb).await, Err(DownloadError::TooLong { .. })));
}
