//! Why a connection ended: one bounded list, used as metric label, log field and MQTT 5 reason code.

use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode as Code;

macro_rules! close_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $label:literal, $code:expr;)+) => {
        /// Why a connection ended. Label values are stable: dashboards count them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseReason { $($(#[doc = $doc])+ $variant,)+ }

        impl CloseReason {
            /// Every reason, so that each counter exists from the start and zero is visible.
            pub const ALL: &[CloseReason] = &[$(CloseReason::$variant,)+];

            /// The metric label.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(CloseReason::$variant => $label,)+ }
            }

            /// What an MQTT 5 client is told before the close; `None` where nothing is to be said
            /// (it left by itself, or never got as far as CONNACK).
            pub(crate) fn disconnect_code(self) -> Option<Code> {
                match self { $(CloseReason::$variant => $code,)+ }
            }
        }
    };
}

close_reasons! {
    /// The client sent DISCONNECT with reason 0x00: its will is discarded.
    Disconnect => "disconnect", None;
    /// The client sent DISCONNECT 0x04 or an error code: its will stands.
    DisconnectWithWill => "disconnect_with_will", None;
    /// End of stream or a socket error without DISCONNECT.
    ConnectionLost => "connection_lost", None;
    /// No complete packet for 1.5 times the keep alive.
    KeepAlive => "keep_alive", Some(Code::KeepAliveTimeout);
    /// The same authenticated identity connected again.
    SessionTakenOver => "session_taken_over", Some(Code::SessionTakenOver);
    /// This process stops; what was in flight has been answered, or the grace period is over.
    ServerShuttingDown => "server_shutting_down", Some(Code::ServerShuttingDown);
    /// The fleet changed: the device is retired or moved, or what proved it does not any more.
    FleetChanged => "fleet_changed", Some(Code::AdministrativeAction);
    /// Bytes that are no MQTT packet.
    Malformed => "malformed", Some(Code::MalformedPacket);
    /// A packet that is well formed and has no business here (a second CONNECT, AUTH, PUBREL …).
    ProtocolError => "protocol_error", Some(Code::ProtocolError);
    /// A packet above the maximum packet size, refused from its header alone.
    PacketTooLarge => "packet_too_large", Some(Code::PacketTooLarge);
    /// More unacknowledged QoS 1 publishes than the Receive Maximum of the CONNACK (MQTT 5).
    ReceiveMaximum => "receive_maximum", Some(Code::ReceiveMaximumExceeded);
    /// A QoS 2 publish; Maximum QoS is 1.
    Qos2 => "qos_2", Some(Code::QoSNotSupported);
    /// A topic alias; Topic Alias Maximum is 0.
    TopicAlias => "topic_alias", Some(Code::TopicAliasInvalid);
    /// A subscription identifier; the CONNACK said that there are none.
    SubscriptionId => "subscription_id", Some(Code::SubscriptionIdentifiersNotSupported);
    /// The store is at its cap and the client speaks 3.1.1, which has no way to say so.
    QuotaExceeded => "quota_exceeded", Some(Code::QuotaExceeded);
    /// The intake asked the client to come again later.
    ServerBusy => "server_busy", Some(Code::ServerBusy);
    /// The intake dropped a publish without an answer: it may not be on disk, so it must come again.
    IntakeLost => "intake_lost", Some(Code::ImplementationSpecificError);
    /// The client did not take our bytes within the write timeout.
    WriteTimeout => "write_timeout", None;
    /// A packet was begun and not finished within the packet timeout.
    PacketTimeout => "packet_timeout", Some(Code::KeepAliveTimeout);
    /// TLS and CONNECT were not through within the handshake timeout.
    HandshakeTimeout => "handshake_timeout", None;
    /// The TLS handshake failed.
    Tls => "tls", None;
    /// More handshakes at a time than allowed; closed before a byte was read.
    TooManyHandshakes => "too_many_handshakes", None;
    /// The first packet was no CONNECT.
    NotConnect => "not_connect", None;
    /// CONNECT refused: protocol name or level is not MQTT 3.1.1 or 5.
    UnsupportedVersion => "unsupported_version", None;
    /// CONNECT refused: client identifier.
    ClientIdInvalid => "client_id_invalid", None;
    /// CONNECT refused: user name or password.
    BadCredentials => "bad_credentials", None;
    /// CONNECT refused: known, but not allowed.
    NotAuthorized => "not_authorized", None;
    /// CONNECT refused: extended authentication (AUTH) is not offered.
    AuthMethod => "auth_method", None;
    /// CONNECT refused: the will is not for the client's own status topic, or its QoS is 2.
    WillRefused => "will_refused", None;
    /// CONNECT refused: as many connections as allowed.
    TooManyConnections => "too_many_connections", None;
    /// CONNECT refused: the connection it takes over did not end in time.
    TakeoverTimeout => "takeover_timeout", None;
}
