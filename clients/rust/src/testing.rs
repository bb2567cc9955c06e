//! An emulator of Entra and Graph, and a gateway with all its checks, for your own tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{json, Value};

/// A running gateway that uses an emulated Graph. Dropping it ends both.
pub struct RunningGateway {
    /// `host:port` of gRPC, in plain text.
    pub address: String,
    /// Root URL of REST.
    pub rest: String,
    /// Of a caller that may do everything.
    pub token: String,
    /// Root URL of the emulator's control port.
    pub control: String,
    child: Child,
}

impl RunningGateway {
    /// Starts the gateway and the emulator. Runs the Python in the environment variable COMPLIANCE_GATEWAY_PYTHON (default
    /// `python3`), which needs `compliance-gateway-client[testing]`.
    pub fn start() -> io::Result<Self> {
        let python = std::env::var("COMPLIANCE_GATEWAY_PYTHON").unwrap_or_else(|_| "python3".into());
        let arguments = ["-m", "compliance_gateway.testing"];
        let mut child = Command::new(&python).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line)
            .map_err(|_| io::Error::other(format!("{python} -m compliance_gateway.testing did not start")))?;
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok(Self { address: text("address"), rest: text("rest"), token: text("token"), control: text("control"), child })
    }

    /// The assignments of the policy in the emulated Graph, as Graph shows them.
    pub fn assignments(&self, policy: &str) -> io::Result<Vec<Value>> {
        let state: Value = serde_json::from_str(&self.ask("GET", "/state", "")?)?;
        Ok(state["policies"][policy]["assignments"].as_array().cloned().unwrap_or_default())
    }

    /// Adds a policy without assignments and returns its ID.
    pub fn new_policy(&self) -> io::Result<String> {
        let id = uuid::Uuid::new_v4().to_string();
        self.ask("POST", "/policies", &json!({"id": id, "displayName": id}).to_string())?;
        Ok(id)
    }

    /// The body of an answer of the control port: plain HTTP on loopback; the connection is closed after the answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let host = self.control.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        match head.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(body.to_owned()),
            _ => Err(io::Error::other(answer)),
        }
    }
}

impl Drop for RunningGateway {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // the process ends when its stdin is closed
        let _ = self.child.wait();
    }
}
