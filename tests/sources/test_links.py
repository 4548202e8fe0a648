"""Lists of linked recordings: what they may say, and what is wrong with them."""

from __future__ import annotations

import pytest

from tests.upstreams import Memory
from xmbench.interfaces import Link
from xmbench.sources import _links

LABELS = {"piano": 0, "violin": 1}


def read(text: str, name: str = "links/a.csv") -> tuple[list[_links.Linked], list[str]]:
    return _links.read(Memory({name: text.encode()}), LABELS)


def test_a_line_is_an_address_or_an_id_with_its_class_and_licence() -> None:
    text = (
        "\ufefflink,class,licence,start,end,name\n# solo pianos\n\n"
        "https://example.org/a/Moonlight%20Sonata.ogg,piano,CC-BY-4.0,,,\n"
        "dQw4w9WgXcQ,Violin,unstated,1:05,2:00.5,Partita No. 2\n"
        '"https://youtu.be/abcdefghijk","piano","Public domain",0,1:00:00,\n'
    )
    found, problems = read(text)
    assert problems == []
    assert [one.link for one in found] == [
        Link("https://example.org/a/Moonlight%20Sonata.ogg", licence="CC-BY-4.0"),
        Link("https://www.youtube.com/watch?v=dQw4w9WgXcQ", 65.0, 120.5, "unstated"),
        Link("https://www.youtube.com/watch?v=abcdefghijk", 0.0, 3600.0, "Public domain"),
    ]
    assert [one.label for one in found] == [0, 1, 0]
    assert found[0].recording.startswith("moonlight-sonata-")
    assert found[1].recording == "partita-no-2"
    assert found[2].recording.startswith("abcdefghijk-")
    assert [one.link.is_part for one in found] == [False, True, True]


def test_tabs_and_other_names_of_columns_are_read() -> None:
    found, problems = read("class\turl\tlicense\npiano\thttp://x.org/1.ogg\tCC0-1.0\n", "links/a.tsv")
    assert problems == []
    assert found[0].link == Link("http://x.org/1.ogg", licence="CC0-1.0")


def test_parts_of_one_recording_have_one_name_however_its_address_is_written() -> None:
    text = "link,class,licence,start,end\nhttps://youtu.be/abcdefghijk,piano,u,0,10\nabcdefghijk,piano,u,20,30\n"
    found, problems = read(text)
    assert problems == []
    assert found[0].recording == found[1].recording
    assert found[0].link.url == found[1].link.url
    assert found[0].link.name == "https://www.youtube.com/watch?v=abcdefghijk#t=0,10"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("link,class\nabcdefghijk,piano\n", "no column 'licence'"),
        ("link,class,licence,tempo\n", "an unknown column 'tempo'"),
        ("link,url,class,licence\n", "two columns of one name"),
        ("", "no column 'link', no column 'class', no column 'licence'"),
        ("link,class,licence\nabcdefghijk,kazoo,u\n", "line 2: 'kazoo' is not a class"),
        ("link,class,licence\nabcdefghijk,piano\n", "no licence"),
        ("link,class,licence\nfile:///etc/passwd,piano,u\n", "neither an http(s) address nor"),
        ("link,class,licence\n--exec=x,piano,u\n", "neither an http(s) address nor"),
        ("link,class,licence\nhttp://[::1,piano,u\n", "neither an http(s) address nor"),
        ("link,class,licence,start\nabcdefghijk,piano,u,soon\n", "start and end are seconds"),
        ("link,class,licence,start,end\nabcdefghijk,piano,u,9,3\n", "it ends at 3 s, and starts at 9 s"),
        ("link,class,licence\nabcdefghijk,piano,u\nabcdefghijk,violin,u\n", "in another class"),
        ("link,class,licence\nabcdefghijk,piano,u\nabcdefghijk,piano,u\n", "overlaps the part of links/a.csv, line 2"),
        ("link,class,licence,start,end\nabcdefghijk,piano,u,0,5\nabcdefghijk,piano,u,4,9\n", "overlaps the part of"),
        ("link,class,licence,name\nabcdefghijk,piano,u,x\nABCDEFGHIJK,piano,u,X\n", "which is another recording"),
        ("link,class,licence,name\nabcdefghijk,piano,u,x\nabcdefghijk,piano,u,y\n", "under another name"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(lines: str, said: str) -> None:
    _, problems = read(lines)
    assert said in problems[0]


def test_a_file_that_is_no_table_is_named() -> None:
    found, problems = _links.read(Memory({"links/a.csv": b"\xff\xfe\x00"}), LABELS)
    assert found == []
    assert problems[0].startswith("links/a.csv: not a table in UTF-8")
