use serde_json::json;

use super::super::target::tests::map_of;
use super::*;

fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

fn two() -> ClusterMap {
    let up = PeerState::Up;
    map_of(&[(1, up, "1"), (1, up, "1")], |slot| slot % 2)
}

fn row() -> serde_json::Value {
    serde_json::to_value(two()).unwrap()
}

#[test]
fn node_ids_are_sixteen_hex_digits() {
    let id = NodeId(0xab);
    assert_eq!(id.to_string(), "00000000000000ab");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(json!(NodeId(u64::MAX)), json!("ffffffffffffffff"));
    for bad in ["", "ab", "+0000000000000ab", "00000000000000abc", "000000000000000x"] {
        assert_eq!(bad.parse::<NodeId>(), Err(BadNodeId(bad.into())));
    }
}

#[test]
fn owners() {
    let lobby = entity("room:lobby");
    let slot = slot_of(&lobby);
    let mut map = two();
    let own = map.owner(slot).unwrap().id;
    assert_eq!(map.owner_of(&lobby).unwrap().id, own);
    assert_eq!(map.slots_of(own).len(), 512);
    assert!(map.slots_of(own).contains(slot));
    assert!(map.slots_of(NodeId(3)).is_empty());
    map.slots[slot.index()] = NOBODY;
    assert_eq!(map.owner(slot), None);
    assert_eq!(map.unowned().len(), 1);
}

#[test]
fn the_row_has_this_shape() {
    let mut map = two();
    map.pins.push(Pin { entity: entity("room:hot"), node: "node-0".into() });
    let row = serde_json::to_value(&map).unwrap();
    assert_eq!(row["version"], 7);
    assert_eq!(row["slots"].as_array().unwrap().len(), 1024);
    assert_eq!(
        row["peers"][0],
        json!({
            "number": 1, "id": "9e3779b97f4a7c15", "term": 1, "name": "node-0", "state": "up",
            "proto": {"min": 1, "max": 1}, "schema": {"min": 1, "max": 1}, "version": "1",
            "weight": 1, "joined": 0, "common": {"cluster": "", "lease": 0},
        })
    );
    assert_eq!(row["pins"], json!([{"entity": "room:hot", "node": "node-0"}]));
    assert_eq!(serde_json::from_value::<ClusterMap>(row).unwrap(), map);
}

#[test]
fn other_releases_rows_are_read() {
    let map: ClusterMap = serde_json::from_value(json!({
        "version": 3, "mood": "good",
        "peers": [{"number": 1, "id": "00000000000000ab", "term": 2, "zone": "a"}],
    }))
    .unwrap();
    let peer = map.peer(NodeId(0xab)).unwrap();
    assert_eq!((peer.weight, peer.state, peer.term), (1, PeerState::Up, Term(2)));
    assert_eq!((map.version(), map.unowned().len()), (3, 1024));
    assert_eq!(serde_json::from_value::<ClusterMap>(json!({})).unwrap(), ClusterMap::empty());
}

#[test]
fn damaged_rows_are_refused() {
    type Damage = fn(&mut serde_json::Value);
    let table: [(Damage, &str); 11] = [
        (|row| row["slots"] = json!([1]), "the map has 1 slots; it must have 1024"),
        (|row| row["slots"][3] = json!(9), "slot 3 belongs to number 9, which no peer has"),
        (|row| row["peers"][0]["number"] = json!(0), "has the number 0"),
        (|row| row["peers"][1]["number"] = json!(1), "have the same number"),
        (|row| row["peers"][1]["id"] = row["peers"][0]["id"].clone(), "is in the map twice"),
        (|row| row["peers"][0]["id"] = json!("x"), "`x` is not a node id"),
        (|row| row["peers"][0]["proto"] = json!({"min": 2, "max": 1}), "2 to 1"),
        (
            |row| {
                let pin = json!({"entity": "room:a", "node": "node-0"});
                row["pins"] = json!([pin, pin]);
            },
            "pinned twice",
        ),
        (
            |row| {
                let pin = |n| json!({"entity": format!("room:{n}"), "node": "node-0"});
                row["pins"] = (0..65).map(pin).collect();
            },
            "65 pins",
        ),
        (
            |row| {
                let group = json!({"deaths": 255, "stage": "opened", "since": 1, "slots": [7]});
                row["trials"] = json!([group]);
            },
            "slot 7 has 255 early deaths",
        ),
        (
            |row| {
                let peer = row["peers"][0].clone();
                let more = (0..101).map(|n| {
                    let mut peer = peer.clone();
                    peer["number"] = json!(n + 1);
                    peer["id"] = json!(NodeId(n));
                    peer
                });
                row["peers"] = more.collect();
            },
            "101 peers",
        ),
    ];
    for (damage, expected) in table {
        let mut row = row();
        damage(&mut row);
        let got = serde_json::from_value::<ClusterMap>(row).unwrap_err().to_string();
        assert!(got.contains(expected), "{got}, not {expected}");
    }
}
