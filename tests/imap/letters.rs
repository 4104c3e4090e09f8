//! The messages of dialogues.

/// A letter by name, with CRLF line ends.
pub fn letter(name: &str) -> Vec<u8> {
    let text = match name {
        "plain" => PLAIN,
        "reply" => REPLY,
        "mixed" => MIXED,
        "nested" => NESTED,
        "quoted" => QUOTED,
        "uuencode" => UUENCODE,
        "latin" => return [b"Subject: caf\xe9\r\nFrom: bob@example.net\r\n\r\ncaf\xe9\r\n".as_slice()].concat(),
        "nul" => return b"Subject: zero\r\n\r\na\0b\r\n".to_vec(),
        "empty" => return Vec::new(),
        other => panic!("no such letter: {other}"),
    };
    text.replace('\n', "\r\n").into_bytes()
}

const PLAIN: &str = "\
Date: Mon, 01 Jan 2024 12:00:00 +0100
From: Bob Builder <bob@example.net>
To: alice@example.org
Subject: the first letter
Message-ID: <1@example.net>

One line about tulips.
Another line.
";

const REPLY: &str = "\
Date: Tue, 02 Jan 2024 12:00:00 +0000
From: \"Carol, of Accounts\" <carol@example.net>
Sender: desk@example.net
Reply-To: list@example.net
To: alice@example.org, Bob <bob@example.net>
Cc: team: dave@example.com, erin@example.com;
Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=
In-Reply-To: <1@example.net>
Message-ID: <2@example.net>
X-Colour: blue
Received: from a.example.net
 by b.example.net

Short.
";

const MIXED: &str = "\
From: bob@example.net
To: alice@example.org
Subject: with a file
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"edge\"

preamble
--edge
Content-Type: text/plain; charset=utf-8

See the file.
--edge
Content-Type: application/octet-stream; name=\"data.bin\"
Content-Disposition: attachment; filename=\"data.bin\"
Content-Transfer-Encoding: base64

AAECA0hlbGxv
--edge--
epilogue
";

const NESTED: &str = "\
From: alice@example.org
To: bob@example.net
Subject: outer
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: text/plain

outer text
--outer
Content-Type: message/rfc822
Content-Description: a letter in a letter

From: carol@example.net
Subject: inner
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

inner text
--inner
Content-Type: text/html

<p>inner text</p>
--inner--
--outer--
";

const QUOTED: &str = "\
Subject: quoted
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

gr=C3=BC=C3=9Fe from a long=
 line
";

const UUENCODE: &str = "\
Subject: old
MIME-Version: 1.0
Content-Type: application/octet-stream
Content-Transfer-Encoding: x-uuencode

begin 644 a
#86)C
end
";
