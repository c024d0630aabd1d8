//! A business that keeps what it is called with: these tests are about what the door hands over.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use windlass::front_door::business::{Business, CallIn, CallbackAnswer, Caller};

#[derive(Clone, Default)]
pub struct Notebook(Arc<Mutex<Vec<Call>>>);

#[derive(Clone, Debug)]
pub struct Call {
    pub from: Caller,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Notebook {
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }
}

impl Business for Notebook {
    fn callback<'a>(&'a self, call: CallIn<'a>) -> BoxFuture<'a, CallbackAnswer> {
        let call = Call { from: call.from, headers: call.headers.to_vec(), body: call.body.to_vec() };
        let refused = call.body.starts_with(b"refuse");
        self.0.lock().unwrap().push(call);
        let answer = if refused {
            CallbackAnswer { status: 401, body: json!({"code": "FAIL"}) }
        } else {
            CallbackAnswer { status: 200, body: json!({"code": "SUCCESS"}) }
        };
        async move { answer }.boxed()
    }

    fn order<'a>(&'a self, no: &'a str) -> BoxFuture<'a, anyhow::Result<Option<Value>>> {
        async move {
            match no {
                "1001" => Ok(Some(json!({"no": "1001", "created_at": 1_767_585_600_000_000_i64}))),
                "broken" => Err(anyhow::anyhow!("the disk is on fire at 10.0.0.7")),
                _ => Ok(None),
            }
        }
        .boxed()
    }
}
