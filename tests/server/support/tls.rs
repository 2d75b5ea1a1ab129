//! TLS clients: one that trusts a CA in a file, and one that believes anything and looks at what it is shown.

use super::http::{Request, Response, connect, read_response};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

#[path = "../../gate/support/anybody.rs"]
mod anybody;

/// A connection to a server behind TLS.
pub struct TlsClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl TlsClient {
    /// Connects to `address` as to `name`, trusting the CA in the PEM file `ca`, or anybody.
    pub fn connect(address: &str, name: &str, ca: Option<&Path>) -> std::io::Result<TlsClient> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let config = match ca {
            Some(ca) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(certificate(ca)).expect("a CA");
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            None => {
                let anybody = Arc::new(anybody::Anybody);
                builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
            }
        };
        let name = ServerName::try_from(name.to_string()).expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = StreamOwned::new(connection, connect(address)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsClient(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Response {
        self.0.get_mut().write_all(&request.to_bytes()).expect("send");
        read_response(&mut self.0, request).expect("an answer")
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.0.get_ref().conn.peer_certificates().expect("a handshake");
        chain[0].clone().into_owned()
    }
}

/// The certificate in a PEM file.
pub fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}
