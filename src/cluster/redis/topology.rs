use super::names::{PARTITIONS, Partition};
use super::resp::Value;
use super::url::Endpoint;

/// The master of each partition in a Redis Cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topology(Vec<Endpoint>);

impl Topology {
    pub(super) fn master(&self, partition: Partition) -> &Endpoint {
        &self.0[usize::from(partition.0)]
    }

    /// All masters, each once.
    pub(super) fn masters(&self) -> Vec<Endpoint> {
        let mut masters = self.0.clone();
        masters.sort();
        masters.dedup();
        masters
    }

    /// Reads the answer of `asked` to CLUSTER SLOTS. `None` if it makes no sense or lacks a slot that keywire uses.
    pub(super) fn parse(answer: Value, asked: &Endpoint) -> Option<Self> {
        let mut masters: Vec<Option<Endpoint>> = vec![None; PARTITIONS];
        for range in answer.into_array()? {
            let range = range.into_array()?;
            let (first, last, Value::Array(master)) =
                (range.first()?.as_int()?, range.get(1)?.as_int()?, range.get(2)?)
            else {
                return None;
            };
            let host = master.first()?.as_str().unwrap_or_default();
            let master = endpoint(host, u16::try_from(master.get(1)?.as_int()?).ok()?, asked)?;
            for partition in Partition::all() {
                if (first..=last).contains(&i64::from(partition.slot())) {
                    masters[usize::from(partition.0)] = Some(master.clone());
                }
            }
        }
        masters.into_iter().collect::<Option<_>>().map(Self)
    }
}

/// The server that a redirection names: `MOVED 3999 host:port`, or `ASK`. Without a host it is that of the server that said so.
pub(super) fn redirection(answer: &str, asked: &Endpoint) -> Option<Endpoint> {
    let (host, port) = answer.split(' ').nth(2)?.rsplit_once(':')?;
    endpoint(host, port.parse().ok()?, asked)
}

fn endpoint(host: &str, port: u16, asked: &Endpoint) -> Option<Endpoint> {
    // A node that does not know its name says `?`.
    let host = if host.is_empty() || host == "?" {
        let Endpoint::Tcp { host, .. } = asked else { return None };
        host.clone()
    } else {
        host.trim_matches(['[', ']']).to_owned()
    };
    Some(Endpoint::Tcp { host, port })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    fn range(first: i64, last: i64, host: Option<&'static str>, port: i64) -> Value {
        let host = host.map_or(Value::Nil, |host| Value::Text(Bytes::from_static(host.as_bytes())));
        let master = Value::Array(vec![host, Value::Int(port)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn each_partition_has_its_master() {
        let asked = tcp("seed", 1);
        let answer = Value::Array(vec![range(0, 8191, Some("a"), 7000), range(8192, 16383, None, 7001)]);
        let topology = Topology::parse(answer, &asked).unwrap();
        assert_eq!(topology.masters(), [tcp("a", 7000), tcp("seed", 7001)]);
        assert_eq!(topology.master(Partition(0)), &tcp("a", 7000));
        assert_eq!(topology.master(Partition(255)), &tcp("seed", 7001));
        for wrong in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![range(0, 8191, Some("a"), 7000)]),
            Value::Array(vec![range(0, 16383, Some("a"), 70_000)]),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
        ] {
            assert_eq!(Topology::parse(wrong.clone(), &asked), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_redirection_names_a_server() {
        let asked = tcp("h", 1);
        for (answer, server) in [
            ("MOVED 3999 127.0.0.1:6381", Some(tcp("127.0.0.1", 6381))),
            ("ASK 3999 ::1:6381", Some(tcp("::1", 6381))),
            ("MOVED 3999 :6381", Some(tcp("h", 6381))),
            ("MOVED 3999", None),
            ("MOVED 3999 h:x", None),
        ] {
            assert_eq!(redirection(answer, &asked), server, "{answer}");
        }
    }
}
