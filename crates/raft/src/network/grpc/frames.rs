//! Frames to and from protobuf. Bodies are shared, not copied.

use base::{ClusterId, Incarnation, NodeId, ShardId};
use bytes::Bytes;
use rpc::peer::{Frame as WireFrame, Greeting as WireGreeting, Message as WireMessage};

use crate::link::{Envelope, Frame, Greeting, Lane, Message};

/// The first frame of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) struct Hello {
    pub(in crate::network) lane: Lane,
    pub(in crate::network) connection: u64,
    pub(in crate::network) greeting: Greeting,
}

pub(in crate::network) fn greet(hello: &Hello) -> WireFrame {
    let Greeting { cluster, from, to, incarnation, settings } = hello.greeting;
    WireFrame {
        cluster: cluster_bytes(cluster),
        from: from.0,
        to: to.0,
        greeting: Some(WireGreeting {
            lane: u32::try_from(hello.lane.number()).expect("lanes are few"),
            connection: hello.connection,
            incarnation_count: incarnation.count,
            incarnation_random: incarnation.random,
            settings,
        }),
        ..WireFrame::default()
    }
}

pub(in crate::network) fn hello(frame: WireFrame) -> Option<Hello> {
    let wire = frame.greeting?;
    let lane = *Lane::ALL.get(usize::try_from(wire.lane).ok()?)?;
    let greeting = Greeting {
        cluster: cluster_of(&frame.cluster)?,
        from: NodeId(frame.from),
        to: NodeId(frame.to),
        incarnation: Incarnation { count: wire.incarnation_count, random: wire.incarnation_random },
        settings: wire.settings,
    };
    Some(Hello { lane, connection: wire.connection, greeting })
}

pub(in crate::network) fn write(envelope: &Envelope, messages: Vec<Message>) -> WireFrame {
    let message = |message: Message| WireMessage {
        shard: u32::from(message.shard.0),
        kind: u32::from(message.kind),
        session: message.session,
        number: message.number,
        head: message.head,
        body: message.body,
    };
    WireFrame {
        cluster: cluster_bytes(envelope.cluster),
        from: envelope.from.0,
        to: envelope.to.0,
        clock_ms: envelope.clock_ms,
        disk_free: envelope.disk_free,
        pressed: envelope.pressed,
        leaving: envelope.leaving,
        greeting: None,
        messages: messages.into_iter().map(message).collect(),
    }
}

pub(in crate::network) fn read(frame: WireFrame) -> Option<Frame> {
    let message = |message: WireMessage| {
        Some(Message {
            shard: ShardId(u16::try_from(message.shard).ok()?),
            kind: u8::try_from(message.kind).ok()?,
            session: message.session,
            number: message.number,
            head: message.head,
            body: message.body,
        })
    };
    let envelope = Envelope {
        cluster: cluster_of(&frame.cluster)?,
        from: NodeId(frame.from),
        to: NodeId(frame.to),
        clock_ms: frame.clock_ms,
        disk_free: frame.disk_free,
        pressed: frame.pressed,
        leaving: frame.leaving,
    };
    let messages = frame.messages.into_iter().map(message).collect::<Option<_>>()?;
    Some(Frame { envelope, messages })
}

fn cluster_bytes(cluster: ClusterId) -> Bytes {
    Bytes::copy_from_slice(&cluster.0.to_be_bytes())
}

fn cluster_of(bytes: &Bytes) -> Option<ClusterId> {
    Some(ClusterId(u128::from_be_bytes(bytes[..].try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_bodies_are_shared() {
        let body = Bytes::from(vec![1; 100]);
        let message = Message {
            shard: ShardId::META,
            kind: 3,
            session: 4,
            number: 5,
            head: Bytes::from_static(b"head"),
            body: vec![body.clone()],
        };
        let envelope = Envelope {
            cluster: ClusterId(7 << 100),
            from: NodeId(1),
            to: NodeId(2),
            clock_ms: 9,
            disk_free: 10,
            pressed: true,
            leaving: true,
        };
        let frame = read(write(&envelope, vec![message.clone()])).unwrap();
        assert_eq!(frame, Frame { envelope, messages: vec![message] });
        assert_eq!(frame.messages[0].body[0].as_ptr(), body.as_ptr());
    }

    #[test]
    fn greetings_come_back_and_a_lane_that_is_none_is_refused() {
        let greeting = Greeting {
            cluster: ClusterId(3),
            from: NodeId(1),
            to: NodeId(2),
            incarnation: Incarnation { count: 5, random: 6 },
            settings: 7,
        };
        let said = Hello { lane: Lane::Bulk, connection: 8, greeting };
        let mut frame = greet(&said);
        assert_eq!(hello(frame.clone()), Some(said));
        frame.greeting.as_mut().unwrap().lane = 3;
        assert_eq!(hello(frame), None);
        assert_eq!(hello(WireFrame::default()), None);
    }
}
