"""What yt-dlp says, and what it means. The messages are those of yt-dlp 2025 and 2026, of its code and its users."""

from __future__ import annotations

import errno

import pytest

from xmbench.builder.upstream.link_failures import Said, judged

_HINT = (
    "Use --cookies-from-browser or --cookies for the authentication. See  "
    "https://github.com/yt-dlp/yt-dlp/wiki/FAQ#how-do-i-pass-cookies-to-yt-dlp  for how to manually pass cookies"
)
STOP = {
    f"ERROR: [youtube] DbgPim2Ni9Y: Sign in to confirm you’re not a bot. {_HINT}": "bot-check",
    f"ERROR: [youtube] DbgPim2Ni9Y: Sign in to confirm you're not a bot. {_HINT}": "bot-check",
    "ERROR: [youtube] a: Video unavailable. YouTube is requiring a captcha challenge before playback": "bot-check",
    "ERROR: [youtube] a: Video unavailable. This content isn’t available, try again later. The current session has "
    "been rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep`": "rate-limited",
    "ERROR: [youtube] a: Unable to download API page: HTTP Error 429: Too Many Requests (caused by <HTTPError 429: Too "
    "Many Requests>)": "rate-limited",
    "ERROR: unable to download video data: HTTP Error 429: Too Many Requests": "rate-limited",
}
FINAL = {
    f"ERROR: [youtube] a: Private video. Sign in if you've been granted access to this video. {_HINT}": "private",
    f"ERROR: [youtube] a: Sign in to confirm your age. This video may be inappropriate for some users. {_HINT}": (
        "age-restricted"
    ),
    "ERROR: [youtube] a: Join this channel to get access to members-only content like this video, and other exclusive "
    "perks.": "members-only",
    "ERROR: [youtube] a: This video requires payment to watch": "paid",
    "ERROR: [youtube] a: Video unavailable. The uploader has not made this video available in your country": (
        "geo-restricted"
    ),
    "ERROR: [youtube] a: Video unavailable. This video contains content from SME, who has blocked it in your country "
    "on copyright grounds": "geo-restricted",
    "ERROR: [x] a: This video is not available from your location due to geo restriction": "geo-restricted",
    "ERROR: [youtube] a: Video unavailable. This video has been removed by the uploader": "removed",
    "ERROR: [youtube] a: This video has been removed for violating YouTube's Terms of Service": "removed",
    "ERROR: [youtube] a: Video unavailable. This video is no longer available because the YouTube account associated "
    "with this video has been terminated.": "removed",
    "ERROR: [youtube] a: Video unavailable": "removed",
    "ERROR: [youtube] a: Video unavailable. This video is no longer available due to a copyright claim by X": "removed",
    "ERROR: [generic] a: Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404>)": "removed",
    "ERROR: [x] a: This video is DRM protected": "drm",
    f"ERROR: [x] a: This video is only available for registered users. {_HINT}": "login-needed",
    "xmbench: a playlist, not one recording": "playlist",
    "[download] xmbench: 40,000 s long, at most 36,000 s are fetched": "too-long",
    "ERROR: Unsupported URL: https://example.org/": "unsupported-address",
    "[download] File is larger than max-filesize (2147483649 bytes > 2147483648 bytes). Aborting.": "too-large",
}
LATER = {
    "ERROR: [youtube] a: This live event will begin in 3 days.": "not-yet",
    "ERROR: [youtube] a: Premieres in 20 hours": "not-yet",
    "ERROR: unable to download video data: HTTP Error 403: Forbidden": "forbidden",
    "ERROR: [generic] a: Unable to download webpage: HTTP Error 503: Service Unavailable": "server-error",
    "ERROR: [generic] a: Unable to download webpage: The read operation timed out": "timeout",
    "timed out after 900 s": "timeout",
    "ERROR: [youtube] a: Unable to download API page: Failed to resolve 'www.youtube.com' ([Errno -2] Name or service "
    "not known) (caused by TransportError)": "unreachable",
    "ERROR: [download] Got error: 1000 bytes read, 5000 more expected": "unreachable",
    "ERROR: [youtube] a: Requested format is not available. Use --list-formats for a list": "no-format",
    "ERROR: You have requested downloading the video partially, but ffmpeg is not installed. Aborting": "no-program",
    "ERROR: something that nobody has seen yet": "unknown",
}


@pytest.mark.parametrize(("text", "reason"), STOP.items())
def test_a_refusal_stops_the_run(text: str, reason: str) -> None:
    found = judged(Said(text))
    assert (found.reason, found.temporary, found.stop) == (reason, True, True)


@pytest.mark.parametrize(("text", "reason"), FINAL.items())
def test_what_is_gone_for_good_is_not_asked_again(text: str, reason: str) -> None:
    found = judged(Said(text))
    assert (found.reason, found.temporary, found.stop) == (reason, False, False)
    assert not found.detail.startswith("ERROR")


@pytest.mark.parametrize(("text", "reason"), LATER.items())
def test_what_may_pass_is_worth_another_try(text: str, reason: str) -> None:
    found = judged(Said(text))
    assert (found.reason, found.temporary, found.stop) == (reason, True, False)


def test_a_refusal_that_is_only_a_warning_counts() -> None:
    warning = "[youtube] Unable to download webpage: HTTP Error 429: Too Many Requests"
    assert judged(Said("ERROR: [youtube] a: Video unavailable", warning)).stop


def test_a_missing_runtime_is_the_reason_of_a_missing_format() -> None:
    warning = "[youtube] No supported JavaScript runtime could be found. Only deno is enabled by default"
    found = judged(Said("ERROR: [youtube] a: Requested format is not available", warning))
    assert (found.reason, found.temporary) == ("no-program", True)


@pytest.mark.parametrize(("status", "reason"), [(404, "removed"), (410, "removed"), (451, "geo-restricted")])
def test_a_status_of_http_is_believed(status: int, reason: str) -> None:
    found = judged(Said("ERROR: unable to download", status=status))
    assert (found.reason, found.temporary) == (reason, False)
    assert judged(Said("ERROR: unable to download", status=429)).stop


def test_types_of_errors_are_believed() -> None:
    assert judged(Said("ERROR: no", kinds="ExtractorError GeoRestrictedError")).reason == "geo-restricted"
    assert judged(Said("ERROR: no", kinds="UnsupportedError")).reason == "unsupported-address"


def test_a_full_disk_is_nobodys_refusal() -> None:
    assert judged(Said("ERROR: unable to write data: [Errno 28]", errno=errno.ENOSPC)).disk_full
