use serde_json::json;

use super::*;

const MIXED: &[u8] = b"From: a@b.c\r\nSubject: =?utf-8?q?h=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=\"x y\"\r\n\r\npreamble\r\n--x y\r\nContent-Type: multipart/alternative; boundary=z\r\n\r\n--z\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 =\r\nau lait\r\n--z\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--z--\r\n\r\n--x y\r\nContent-Type: image/png; name*0=\"a\"; name*1=\"b.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\nContent-ID: <i@d>\r\n\r\naGVs\r\nbG8=\r\n--x y--\r\nepilogue\r\n";

#[test]
fn what_is_not_changed_is_written_as_it_was() {
    assert_eq!(Part::parse(MIXED).unwrap().write(), MIXED);
    for end in 0..MIXED.len() {
        Part::parse(&MIXED[..end]).unwrap().write();
    }
}

#[test]
fn structure_and_contents() {
    let s = Part::parse(MIXED).unwrap().structure();
    assert_eq!(s.text.as_ref().unwrap().content(), Content::Text("café au lait".into()));
    assert_eq!(s.text.unwrap().id(), "1.1");
    assert_eq!(s.html.unwrap().content(), Content::Text("<p>x</p>".into()));
    let a = &s.attachments[0];
    assert_eq!(
        (a.how.file_name.as_deref(), a.how.content_id.as_deref()),
        (Some("ab.png"), Some("i@d"))
    );
    assert_eq!(a.part.content(), Content::Bytes(b"hello".to_vec()));
}

#[test]
fn changes_show_in_the_whole() {
    let root = Part::parse(MIXED).unwrap();
    let text = root.structure().text.unwrap();
    text.replace(Content::Text("grüße\r\n".to_owned() + &"long ".repeat(60)), None);
    let again = Part::parse(&root.write()).unwrap();
    let back = again.structure().text.unwrap();
    assert_eq!(back.content(), text.content());
    assert_eq!(back.content_type().get("charset"), Some("utf-8"));
    assert!(root.write().split(|c| *c == b'\n').all(|l| l.len() < 80 && l.is_ascii()));
}

#[test]
fn limits_hold() {
    let mut deep = Vec::new();
    for i in 0..100 {
        deep.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n").as_bytes(),
        );
    }
    assert!(Part::parse(&deep).unwrap_err().contains("nested"));
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\n\r\n".repeat(20_000)
    );
    assert!(Part::parse(many.as_bytes()).unwrap_err().contains("too many parts"));
}

#[test]
fn a_part_cannot_hold_itself() {
    let inner = Part::multipart("multipart/mixed", Vec::new(), "a").unwrap();
    let outer = Part::multipart("multipart/mixed", vec![inner.clone()], "b").unwrap();
    assert!(inner.append(outer.clone()).is_err());
    assert!(outer.append(outer.clone()).is_err());
}

#[test]
fn header_values() {
    let p = Params::parse("Attachment; filename*=utf-8''%e2%82%ac%20x; a=\"q\\\"; b\"");
    assert_eq!(
        (p.value.as_str(), p.get("filename"), p.get("a")),
        ("attachment", Some("€ x"), Some("q\"; b"))
    );
    assert_eq!(Params::parse(&p.to_string()), p);
    let list =
        addresses("\"Jo, S\" <jo@a.test>, A Team: x@b.test, Y <y@c.test>;, z@d.test").unwrap();
    assert_eq!(addresses(&format_addresses(&list)).unwrap(), list);
    assert!(
        matches!(&list[1], Address::Group { name, entries } if name == "A Team" && entries.len() == 2)
    );
    assert!(addresses("nonsense").is_err());
    assert_eq!(message_ids("<a@b> <c@d>"), ["a@b", "c@d"]);
}

#[test]
fn builder_nests_as_usual() {
    let b = Builder {
        text: Some(Part::leaf("text/plain", Content::Text("t".into()))),
        html: Some(Part::leaf("text/html", Content::Text("<p>h</p>".into()))),
        attached: vec![
            Part::binary(
                "image/png",
                b"\xff",
                Some(&Attachment { inline: true, ..Attachment::default() }),
            ),
            Part::binary(
                "text/csv",
                b"a,b",
                Some(&Attachment { file_name: Some("ü.csv".into()), ..Attachment::default() }),
            ),
        ],
        ..Builder::default()
    };
    let root = b.build(&|name| name.to_owned()).unwrap();
    let kinds = |p: &Part| p.parts().iter().map(|p| p.content_type().value).collect::<Vec<_>>();
    assert_eq!(kinds(&root), ["multipart/related", "text/csv"]);
    assert_eq!(kinds(&root.parts()[0]), ["multipart/alternative", "image/png"]);
    let again = Part::parse(&root.write()).unwrap().structure();
    assert_eq!(again.attachments[1].how.file_name.as_deref(), Some("ü.csv"));
    assert!(Builder::default().build(&|n| n.to_owned()).is_err());
}

#[test]
fn feedback() {
    // After the first example of RFC 5965, appendix B.1.
    let text = b"From: <abusedesk@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nAn abuse report.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\nReported-Domain: a.example\r\nSource-IP: 192.0.2.1\r\nX-More: y\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nX-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidUBvay5leGFtcGxlIn0=\r\nFrom: <s@example.net>\r\n\r\nSpam\r\n--b--\r\n";
    let r = feedback_report(&Part::parse(text).unwrap()).unwrap().unwrap();
    assert_eq!(
        (&r["feedback_type"], &r["source_ip"], &r["reported_domain"]),
        (&json!("abuse"), &json!("192.0.2.1"), &json!(["a.example"]))
    );
    assert_eq!(r["supplemental_trace"]["recipient"], "u@ok.example");
    assert_eq!(r["extensions"], json!({"x-more": ["y"]}));
    // Every field is there, also where the report says nothing.
    let bare = String::from_utf8_lossy(text).replace("X-More: y\r\n", "");
    let r = feedback_report(&Part::parse(bare.as_bytes()).unwrap()).unwrap().unwrap();
    assert_eq!(r.get("extensions"), Some(&json!({})));
    assert_eq!(r.get("incidents"), Some(&json!(null)));
    assert!(feedback_report(&Part::parse(MIXED).unwrap()).unwrap().is_none());
    assert!(delivery_report(&Part::parse(text).unwrap()).unwrap().is_none());
}

fn status_report(kind: &str, fields: &str) -> String {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: {kind}\r\n\r\nReporting-MTA: dns; mx.test\r\n{fields}\r\n--b--\r\n"
    )
}

#[test]
fn reports_as_others_write_them() {
    let one = |to: &str| {
        format!("Final-Recipient: rfc822; {to}\r\nAction: failed (no such user)\r\nStatus: 5.1.1 (bad (very))\r\n")
    };
    for kind in ["message/delivery-status", "message/global-delivery-status"] {
        // The groups are parted by a line of blanks, and by an empty one.
        let fields = format!(" \t\r\n{}\r\n{}", one("a@d.test"), one("b@d.test"));
        let text = status_report(kind, &fields);
        let report = delivery_report(&Part::parse(text.as_bytes()).unwrap()).unwrap().unwrap();
        let about = report["per_recipient"].as_array().unwrap();
        assert_eq!(about.len(), 2, "{report}");
        for recipient in about {
            assert_eq!(recipient["action"], "failed");
            assert_eq!(recipient["status"], json!({"class": 5, "subject": 1, "detail": 1}));
        }
    }
}

#[test]
fn a_report_of_very_many_is_cut() {
    let one = "\r\nFinal-Recipient: rfc822; a@d.test\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    let text = status_report("message/delivery-status", &one.repeat(20_000));
    let report = delivery_report(&Part::parse(text.as_bytes()).unwrap()).unwrap().unwrap();
    let about = report["per_recipient"].as_array().unwrap().len();
    assert!((900..=1000).contains(&about), "{about}");
    let many = format!("\r\n{}", "X-Field: y\r\n".repeat(100_000));
    let text = status_report("message/delivery-status", &many);
    assert!(delivery_report(&Part::parse(text.as_bytes()).unwrap()).is_err());
}

#[test]
fn a_container_is_rebuilt_with_a_boundary_that_can_be_one() {
    for (kind, boundary) in [
        ("multipart/mixed", "\t\0\0"),
        ("multipart/mixed", "gr\u{fc}n"),
        ("multipart/mixed", "a<b"),
        ("multipart/mixed; x=\"\u{fc}\0\"", "b"),
        ("multipart/mixed; x=\"\0\"", "b"),
        ("multipart/mixed; \0boundary=\"\0\"; bound\u{fc}ary=x; a b=c; =d", "b"),
        ("multipart/\0\u{fc}", "b"),
        ("multipart/[x]", "b"),
    ] {
        let source = format!(
            "Content-Type: {kind}; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n\r\none\r\n\
             --{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\r\ntw\u{f6}\r\n--{boundary}--\r\n"
        );
        let parsed = Part::parse(source.as_bytes()).unwrap();
        assert_eq!(parsed.parts().len(), 2, "{source:?}");
        let rebuilt = parsed.rebuild().write();
        assert!(
            rebuilt.is_ascii() && !rebuilt.contains(&0),
            "{}",
            String::from_utf8_lossy(&rebuilt)
        );
        let again = Part::parse(&rebuilt).unwrap();
        let contents = |part: &Part| part.parts().iter().map(Part::content).collect::<Vec<_>>();
        assert_eq!(contents(&again), contents(&parsed), "{}", String::from_utf8_lossy(&rebuilt));
        assert_eq!(again.rebuild().write(), rebuilt);
        parsed.make_plain();
        let plain = parsed.write();
        assert!(plain.is_ascii(), "{}", String::from_utf8_lossy(&plain));
        assert_eq!(Part::parse(&plain).unwrap().parts().len(), 2);
    }
}

#[test]
fn white_space_at_its_end_is_none_of_a_boundary() {
    for end in ["\r", " ", " \t", ""] {
        let source = format!(
            "Content-Type: multipart/mixed; boundary=\"b{end}\"\r\n\r\n--b\r\n\r\none\r\n--b\n\ntwo\r\n--b \r\n\r\n\
             three\r\n--b--\r\n"
        );
        let parsed = Part::parse(source.as_bytes()).unwrap();
        assert_eq!(parsed.parts().len(), 3, "{source:?}");
        let again = Part::parse(&parsed.write()).unwrap();
        assert_eq!(again.parts().len(), 3, "{source:?}");
    }
}

#[test]
fn what_is_rebuilt_is_of_no_other_type_than_before() {
    let source = "Content-Type: multi\0part/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n";
    let leaf = Part::parse(source.as_bytes()).unwrap();
    let rebuilt = Part::parse(&leaf.rebuild().write()).unwrap();
    assert_eq!((leaf.parts().len(), rebuilt.parts().len()), (0, 0));
    assert_eq!(rebuilt.content_type().value, "multi_part/mixed");
    assert_eq!(rebuilt.content().bytes(), leaf.content().bytes());
}

#[test]
fn a_container_is_rebuilt_with_one_type() {
    let source = "Content-Type: multipart/mixed; boundary=\"b\"\r\nContent-Type: multipart/\0x\r\n\
        Content-Transfer-Encoding: base64\r\n\
        content-type: text/plain\r\n\r\n--b\r\n\r\none\r\n--b--\r\n";
    let rebuilt = Part::parse(source.as_bytes()).unwrap().rebuild();
    let header = String::from_utf8(rebuilt.write()).unwrap();
    let header = header.split("\r\n\r\n").next().unwrap();
    let kind = "Content-Type: multipart/mixed; boundary=\"b\"";
    assert_eq!(header, format!("{kind}\r\nContent-Transfer-Encoding: 7bit"));
    assert_eq!(rebuilt.parts().len(), 1);
}
