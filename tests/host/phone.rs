//! A phone: registers with digest credentials, calls another phone, is called.
//!
//! Used by the tests of the example configuration and by the demo, to show what a customer notices
//! (nothing). Both ends of a call are driven from one thread, step by step.

use super::{Client, Message, Request, SERVER};

/// A user's device at one address.
pub struct Phone {
    user: String,
    password: String,
    client: Client,
}

impl Phone {
    /// A phone of `user` at `source`, over UDP.
    pub fn new(user: &str, password: &str, source: &str) -> Self {
        Self::at(Client::udp(source), user, password)
    }

    /// The same over TCP.
    pub fn over_tcp(user: &str, password: &str, source: &str) -> Self {
        Self::at(Client::tcp(source), user, password)
    }

    fn at(client: Client, user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            client,
        }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// The connection, for requests of one's own making.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// A REGISTER without credentials, as every phone sends first.
    pub fn registration(&self) -> Request {
        Request::new("REGISTER", &format!("sip:{SERVER}"))
            .header("From", &self.identity())
            .header("To", &format!("<sip:{}@{SERVER}>", self.user))
            .header("Contact", &self.contact())
            .header("Expires", "600")
    }

    /// Registers: asks, is challenged, answers.
    ///
    /// # Errors
    /// The answer that came instead of `200 OK`; `None` when there was none.
    pub fn register(&mut self) -> Result<(), Option<Message>> {
        let call_id = self.try_to_register()?;
        match self.final_answer(&call_id, "REGISTER") {
            Some(answer) if answer.code() == 200 => Ok(()),
            other => Err(other),
        }
    }

    /// Registers up to the credentials, without waiting for what they lead to; the Call-ID.
    ///
    /// # Errors
    /// What came instead of a challenge.
    pub fn try_to_register(&mut self) -> Result<String, Option<Message>> {
        let request = self.registration();
        let call_id = self.client.send(&request);
        let challenge = self.final_answer(&call_id, "REGISTER").ok_or(None)?;
        match self.with_credentials(request, "REGISTER", &challenge) {
            Some(request) => Ok(self.client.send(&request)),
            None => Err(Some(challenge)),
        }
    }

    /// Calls another registered phone: INVITE, ringing, answer, ACK, BYE.
    ///
    /// # Errors
    /// What did not come, when the call does not go through.
    pub fn call(&mut self, callee: &mut Self) -> Result<(), String> {
        let invite = Request::new("INVITE", &format!("sip:{}@{SERVER}", callee.user))
            .header("From", &self.identity())
            .header("Contact", &self.contact())
            .body("application/sdp", "v=0\r\n");
        let call_id = self.client.send(&invite);
        let challenge = self.expect_answer(&call_id, "INVITE")?;
        let Some(invite) = self.with_credentials(invite, "INVITE", &challenge) else {
            return Err(format!("no challenge: {}", challenge.text()));
        };
        self.acknowledge_refusal(&challenge, callee);
        let call_id = self.client.send(&invite);
        let received = callee.expect_request("INVITE")?;
        callee.respond(&received, "180 Ringing");
        callee.respond(&received, "200 OK");
        let accepted = self.expect_answer(&call_id, "INVITE")?;
        if accepted.code() != 200 {
            return Err(format!("the call was refused: {}", accepted.text()));
        }
        self.client.send(&in_dialog("ACK", 0, &accepted)?);
        callee.expect_request("ACK")?;
        self.client.send(&in_dialog("BYE", 1, &accepted)?);
        let received = callee.expect_request("BYE")?;
        callee.respond(&received, "200 OK");
        match self.expect_answer(&call_id, "BYE")?.code() {
            200 => Ok(()),
            code => Err(format!("BYE was answered {code}")),
        }
    }

    fn identity(&self) -> String {
        format!(
            "<sip:{}@{SERVER}>;tag={}",
            self.user,
            self.client.local().port()
        )
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.client.local())
    }

    /// The request that answers a challenge; `None` when there was no challenge.
    pub fn with_credentials(
        &self,
        request: Request,
        method: &str,
        challenge: &Message,
    ) -> Option<Request> {
        let (asked, name) = match challenge.code() {
            401 => ("WWW-Authenticate", "Authorization"),
            407 => ("Proxy-Authenticate", "Proxy-Authorization"),
            _ => return None,
        };
        let challenge = challenge.header(asked)?;
        let quoted = |key: &str| {
            let (_, rest) = challenge.split_once(&format!("{key}=\""))?;
            rest.split('"').next()
        };
        let (realm, nonce) = (quoted("realm")?, quoted("nonce")?);
        let (user, password) = (&self.user, &self.password);
        let uri = format!("sip:{SERVER}");
        let hash = |text: String| format!("{:x}", md5::compute(text));
        let secret = hash(format!("{user}:{realm}:{password}"));
        let asked_for = hash(format!("{method}:{uri}"));
        let response = hash(format!("{secret}:{nonce}:{asked_for}"));
        let credentials = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5"
        );
        Some(request.header(name, &credentials))
    }

    fn acknowledge_refusal(&mut self, refusal: &Message, callee: &Self) {
        let uri = format!("sip:{}@{SERVER}", callee.user);
        let ack = ["Via", "From", "To", "Call-ID"]
            .iter()
            .fold(Request::new("ACK", &uri), |ack, name| {
                ack.header(name, refusal.header(name).unwrap_or_default())
            })
            .header("CSeq", &format!("{} ACK", sequence(refusal)));
        self.client.send(&ack);
    }

    /// The final answer to a request of this Call-ID and method.
    fn final_answer(&mut self, call_id: &str, method: &str) -> Option<Message> {
        loop {
            let message = self.client.receive()?;
            let matches = message.header("Call-ID") == Some(call_id)
                && message
                    .header("CSeq")
                    .is_some_and(|line| line.ends_with(method));
            if matches && message.code() >= 200 {
                return Some(message);
            }
        }
    }

    fn expect_answer(&mut self, call_id: &str, method: &str) -> Result<Message, String> {
        self.final_answer(call_id, method)
            .ok_or_else(|| format!("{} got no answer to {method}", self.user))
    }

    fn expect_request(&mut self, method: &str) -> Result<Message, String> {
        loop {
            match self.client.receive() {
                Some(message) if message.method() == method => return Ok(message),
                Some(_) => {}
                None => return Err(format!("{method} did not reach {}", self.user)),
            }
        }
    }

    /// Answers a received request.
    fn respond(&mut self, request: &Message, status: &str) {
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
            for value in request.headers(name) {
                answer += &format!("{name}: {value}\r\n");
            }
        }
        let to = request.header("To").unwrap_or_default();
        let tag = if to.contains("tag=") {
            ""
        } else {
            ";tag=callee"
        };
        answer += &format!("To: {to}{tag}\r\nContact: {}\r\n", self.contact());
        answer += "Content-Length: 0\r\n\r\n";
        self.client.send_bytes(answer.as_bytes());
    }
}

/// A request within the dialog that `accepted` opened, `step` numbers after its INVITE.
fn in_dialog(method: &str, step: u32, accepted: &Message) -> Result<Request, String> {
    let target = accepted
        .header("Contact")
        .and_then(|contact| contact.split(['<', '>']).nth(1))
        .ok_or("the answer has no Contact")?;
    let mut request = Request::new(method, target)
        .header("CSeq", &format!("{} {method}", sequence(accepted) + step));
    for name in ["From", "To", "Call-ID"] {
        request = request.header(name, accepted.header(name).unwrap_or_default());
    }
    // The proxies on the way, the nearest first.
    let proxies: Vec<&str> = accepted.headers("Record-Route").collect();
    for proxy in proxies.into_iter().rev() {
        request = request.header("Route", proxy);
    }
    Ok(request)
}

/// The number of a message's CSeq.
fn sequence(message: &Message) -> u32 {
    let line = message.header("CSeq").unwrap_or_default();
    let number = line.split(' ').next().unwrap_or_default();
    number.parse().unwrap_or_default()
}
