"""The page in a real browser: what stands behind a cell, who can read it, on what, and names that are text."""

import json
from pathlib import Path

import pytest

from bench.keys import digest

RUNS = Path(__file__).parents[2] / "leaderboards" / "segmentation" / "runs"


def test_the_command_writes_a_page_of_published_records(browser, bench, tmp_path):
    bench("leaderboard", str(RUNS), "--out", str(tmp_path / "board.html"))
    browser.open(f"file://{tmp_path / 'board.html'}")
    assert browser.rows() == ["random_init", "lvm_med", "simclr"]
    browser.click(browser.cell("simclr"))
    text = browser.run("document.querySelector('dialog').textContent")
    for expected in ("99 of 647 of the data set found", "effective rank", "recipe.backbone", "scores.csv", "Worst"):
        assert expected in text


# ---------------------------------------------------------------------------------------------- a cell


def test_a_click_opens_a_cell_and_escape_gives_the_focus_back(browser, usual):
    browser.open(usual)
    browser.click(browser.cell("simclr"))
    text = browser.run("document.querySelector('dialog').textContent")
    for expected in ("simclr on kvasir / finetune", "300 of 300", "case 1", "temperature", "2.15.0", "Compare with"):
        assert expected in text
    assert digest(["simclr", "kvasir", "finetune", 0])[:10] in text
    assert "bench show simclr/kvasir/finetune/0 --figures" in text
    browser.close()
    assert browser.run("document.activeElement === " + browser.cell("simclr"))


def test_an_address_names_the_cell_that_is_open(browser, usual):
    browser.open(usual)
    browser.click(browser.cell("simclr", 2))
    address = browser.run("location.href")
    browser.open(address)
    assert browser.run("document.querySelector('dialog h2').textContent") == "simclr on jsrt / finetune"
    browser.close()
    assert browser.run("document.activeElement === " + browser.cell("simclr", 2))
    assert "row=" not in browser.run("location.hash")


def test_arrows_go_from_cell_to_cell_and_enter_opens_one(browser, usual):
    browser.open(usual)
    browser.run(browser.cell("random_init") + ".focus()")
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowLeft"):
        browser.press(key)
    assert "byol, kvasir / finetune" in browser.focus()
    assert browser.run("document.querySelectorAll('#real button.cell[tabindex=\"0\"]').length") == 1
    browser.press("Enter")
    assert browser.run("document.querySelector('dialog h2').textContent") == "byol on kvasir / finetune"
    browser.close()
    assert "byol, kvasir / finetune" in browser.focus()


def test_a_cell_that_arrows_come_to_is_not_under_what_stays_in_place(browser, usual):
    browser.size(360, 420)
    browser.open(usual)
    browser.run(browser.cell("lvm_med", 4) + ".focus()")
    for _ in range(4):
        browser.press("ArrowLeft")
    for _ in range(3):
        browser.press("ArrowUp")
    assert browser.focus() == browser.run(browser.cell("random_init") + ".getAttribute('aria-label')")
    inside = (
        "(() => { const at = document.activeElement.getBoundingClientRect();"
        "const table = document.querySelector('.results');"
        "return at.left >= table.querySelector('thead .name').getBoundingClientRect().right - 1"
        " && at.top >= table.tHead.getBoundingClientRect().bottom - 1; })()"
    )
    assert browser.run(inside)


def test_what_the_pointer_or_the_focus_is_on_is_told_with_its_seeds(browser, usual):
    browser.open(usual)
    browser.point(browser.cell("simclr"))
    browser.wait("document.querySelector('.tip.shown')")
    tip = browser.run("document.querySelector('.tip').textContent")
    assert "seed 0" in tip
    assert "95 % interval" in tip
    assert browser.run(browser.cell("simclr") + ".getAttribute('aria-describedby')") == "tip"
    assert browser.run("document.querySelectorAll('.tip circle').length") == 3
    browser.press("Escape")
    assert browser.run("document.querySelector('.tip.shown')") is None
    browser.run(browser.cell("simclr") + ".focus()")
    browser.press("ArrowDown")
    browser.wait("document.querySelector('.tip.shown')")
    assert "byol" in browser.run("document.querySelector('.tip').textContent")


def test_the_cases_of_two_methods_are_compared(browser, usual):
    browser.open(usual)
    browser.click(browser.cell("lvm_med"))
    text = browser.run("document.querySelector('dialog').textContent")
    better, worse = (int(text.partition(f"{word} in ")[2].partition(",")[0].split()[0]) for word in ("better", "worse"))
    assert better + worse == 300
    assert better > worse
    assert "bench compare lvm_med simclr" in text
    browser.run(
        "(() => { const s = document.querySelector('dialog select'); s.value = [...s.options]"
        ".find(o => o.text == 'byol').value; s.dispatchEvent(new Event('change')); })()"
    )
    assert "bench compare lvm_med byol" in browser.run("document.querySelector('dialog').textContent")


def test_a_name_opens_the_method_in_every_column(browser, usual):
    browser.open(usual)
    browser.click(browser.line("simclr") + ".querySelector('th button')")
    text = browser.run("document.querySelector('dialog').textContent")
    for expected in ("5 of 5", "acdc / finetune", "kvasir / frozen", "behind the best, lvm_med", "temperature"):
        assert expected in text
    address = browser.run("location.href")
    browser.close()
    assert browser.focus() == "simclr"
    browser.open(address)
    assert browser.run("document.querySelector('dialog h2').textContent") == "simclr"


# ---------------------------------------------------------------------------------------------- who reads it, on what


def test_dark_follows_the_system_and_the_button(browser, usual):
    colour = "getComputedStyle(document.body).backgroundColor"
    browser.open(usual)
    light = browser.run(colour)
    browser.media(prefers_color_scheme="dark")
    dark = browser.run(colour)
    assert dark != light
    browser.click("[...document.querySelectorAll('button')].find(b => b.textContent == 'Dark')")
    assert browser.run(colour) == light
    browser.media(prefers_color_scheme="light")
    browser.click("[...document.querySelectorAll('button')].find(b => b.textContent == 'Dark')")
    assert browser.run(colour) == dark
    browser.run("localStorage.clear()")


@pytest.mark.parametrize("board", ["usual", "hostile"])
def test_a_page_360_pixels_wide_scrolls_only_within_its_tables(browser, board, request):
    browser.size(360, 740, mobile=True)
    browser.open(request.getfixturevalue(board))
    assert browser.run("document.documentElement.scrollWidth") == 360
    assert browser.run("document.querySelector('.scroll').scrollWidth > document.querySelector('.scroll').clientWidth")
    browser.click("document.querySelector('section.board:not([hidden]) button.cell')")
    assert browser.run("document.querySelector('dialog').getBoundingClientRect().width") == 360
    assert browser.run("document.querySelector('dialog .body').scrollWidth") <= 360
    browser.close()


def test_a_screen_reader_is_told_tables_heads_and_what_buttons_do(browser, usual):
    browser.open(usual)
    tree = browser.tree()
    roles = {role for role, *_ in tree}
    assert {"table", "columnheader", "rowheader", "region", "heading", "main", "status"} <= roles
    assert ("table", "Dice (%) on real data") in {(role, name) for role, name, _ in tree}
    buttons = [name for role, name, _ in tree if role == "button"]
    assert len(buttons) > 30
    assert all(buttons)
    (said,) = [name for name in buttons if "simclr, kvasir / finetune" in name]
    assert said.startswith(
        browser.run(f"[...{browser.cell('simclr')}.childNodes].map(e => e.textContent.trim()).join(' ')")
    )
    for role in ("button", "combobox", "searchbox", "checkbox", "image", "link", "dialog", "figure"):
        assert all(name for found, name, _ in tree if found == role), role
    browser.click(browser.cell("simclr"))
    assert ("dialog", "simclr on kvasir / finetune") in {(role, name) for role, name, _ in browser.tree()}
    browser.close()


def test_names_that_would_be_markup_are_text(browser, hostile, names):
    browser.open(hostile)
    script, image, *_ = names
    assert sorted(browser.rows()) == sorted(names)
    assert browser.run("document.querySelectorAll('img, main script').length") == 0
    browser.click(browser.cell(script))
    assert script in browser.run("document.querySelector('dialog').textContent")
    browser.close()
    browser.point(browser.cell(image))
    browser.wait(f"document.querySelector('.tip.shown')?.textContent.startsWith({json.dumps(image)})")
    browser.tick("Groups", image)
    assert browser.rows() == [names[1], names[3]]


def test_what_is_copied_is_what_is_seen_and_no_formula(browser, hostile, names):
    browser.open(hostile)
    text = browser.run("csv(current)")
    assert "'=cmd|'/c calc'!A1" in text
    assert text.count("\n") == 1 + len(names)


def test_markup_that_got_in_would_do_nothing(browser, usual):
    """Which the policy sees to, whatever else fails: no script of another's, no image, no request."""
    browser.open(usual)
    refused = browser.run(
        "(async () => { const script = document.createElement('script');"
        "try { script.text = 'window.bad = 1'; document.body.append(script); } catch {}"
        "const sent = await fetch('https://example.org/').then(() => 'sent', () => 'refused');"
        "try { document.body.innerHTML = '<b>x</b>'; return 'written'; } catch {}"
        "return `${sent},${window.bad || 'none'}`; })()"
    )
    assert refused == "refused,none"
    browser.events.clear()  # which tell of what was tried


def test_the_whole_table_is_there_without_a_script(browser, usual):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.visit(usual)
        tree = browser.tree()
        assert sum(role == "rowheader" for role, *_ in tree) >= 8
        assert any("need JavaScript" in name for _, name, _ in tree)
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
