"""The table of a page and its charts, in a real browser, opened from disk and used by mouse."""

# ---------------------------------------------------------------------------------------------- the table


def test_a_click_on_a_head_sorts_the_best_first_then_the_worst_then_as_it_was(browser, usual):
    browser.open(usual)
    before = browser.rows()
    browser.tick("View", "Rows in groups")
    assert browser.rows() == before
    for expected, said in (
        (["lvm_med", "simclr", "byol", "random_init"], "descending"),
        (["random_init", "byol", "simclr", "lvm_med"], "ascending"),
        (before, None),
    ):
        browser.click(browser.head("kvasir") + ".querySelector('button')")
        assert browser.rows() == expected
        assert browser.run(browser.head("kvasir") + ".getAttribute('aria-sort')") == said


def test_rows_are_sorted_within_their_groups(browser, usual):
    browser.open(usual)
    browser.click(browser.head("kvasir") + ".querySelector('button')")
    assert browser.rows() == ["random_init", "lvm_med", "simclr", "byol"]


def test_rows_and_columns_are_filtered_by_group_family_protocol_and_name(browser, usual):
    browser.open(usual)
    assert browser.columns() == ["kvasir", "isic2018", "jsrt", "kvasir", "acdc"]
    browser.tick("Families", "3D segmentation")
    assert browser.columns() == ["kvasir", "isic2018", "jsrt", "kvasir"]
    browser.tick("Protocols", "frozen")
    assert browser.columns() == ["kvasir", "isic2018", "jsrt"]
    browser.tick("Columns", "isic2018 / finetune")
    assert browser.columns() == ["kvasir", "jsrt"]
    browser.tick("Groups", "supervised")
    assert browser.rows() == ["simclr", "byol", "lvm_med"]
    browser.click("document.querySelector('.tools input[type=search]')")
    browser.type("SIM")
    assert browser.rows() == ["simclr"]
    assert browser.run("document.querySelector('.count').textContent") == "1 of 4 methods, 2 of 5 columns"
    browser.click("[...document.querySelectorAll('.tools button')].find(b => b.textContent == 'Reset')")
    assert (len(browser.rows()), len(browser.columns())) == (4, 5)


def test_marked_cells_can_be_hidden(browser, usual):
    browser.open(usual)
    assert browser.run(browser.cell("simclr", 4) + ".hidden") is False
    browser.tick("Hide marked", "partial data")
    assert browser.run(browser.cell("simclr", 4) + ".hidden") is True
    assert browser.run(browser.cell("simclr", 0) + ".hidden") is False


def test_an_address_keeps_the_view(browser, usual):
    browser.open(usual)
    for _ in ("best first", "worst first"):
        browser.click(browser.head("jsrt") + ".querySelector('button')")
    browser.tick("Families", "3D segmentation")
    address, seen = browser.run("location.href"), (browser.rows(), browser.columns())
    browser.open(usual)
    assert (browser.rows(), browser.columns()) != seen
    browser.open(address)
    assert (browser.rows(), browser.columns()) == seen
    assert browser.run(browser.head("jsrt") + ".getAttribute('aria-sort')") == "ascending"


def test_an_address_that_names_nothing_known_shows_the_board(browser, usual):
    browser.open(usual + "#board=none&sort=x&families=%3Cscript%3E&row=a&column=b&spread=maybe&profiles=q&x=z&y=z")
    assert (len(browser.rows()), len(browser.columns())) == (4, 5)


def test_real_and_phantom_data_are_never_seen_together(browser, usual):
    browser.open(usual)
    seen = "[...document.querySelectorAll('section.board:not([hidden])')].map(s => s.id)"
    assert browser.run(seen) == ["real"]
    browser.click("[...document.querySelectorAll('.tabs button')].find(b => b.textContent == 'Phantom data')")
    assert browser.run(seen) == ["phantom"]
    assert browser.run("document.querySelector('#phantom .warning').checkVisibility()") is True


# ---------------------------------------------------------------------------------------------- charts


def test_charts_show_every_method_and_follow_their_choices(browser, usual):
    browser.open(usual)
    assert browser.run("document.querySelectorAll('#real .dot').length") == 4
    assert browser.run("document.querySelectorAll('#real .dot.best').length") >= 1
    assert browser.run("document.querySelectorAll('#real .standings figure').length") == 2
    assert browser.run("document.querySelectorAll('#real .profile').length") == 2
    before = browser.run("document.querySelector('#real .stage').textContent")
    browser.run(
        "(() => { const s = document.querySelector('#real .chart-tools select'); s.value = 'rank'; "
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert browser.run("document.querySelector('#real .stage').textContent") != before
    assert "y=rank" in browser.run("location.hash")


def test_the_pareto_front_is_that_of_the_records(browser, usual):
    """Cost grows with the length of the name: the cheapest is on it, and what is better than all that are cheaper."""
    browser.open(usual)
    best = browser.run("[...document.querySelectorAll('#real .dot.best')].map(d => d.getAttribute('aria-label'))")
    assert sorted(said.partition(":")[0] for said in best) == ["byol", "lvm_med", "simclr"]


def test_times_on_different_devices_have_no_front(browser, usual):
    browser.open(usual + "#board=phantom")
    assert browser.run("document.querySelectorAll('#phantom .dot').length") == 2
    assert browser.run("document.querySelectorAll('#phantom .dot.best').length") == 0
    text = browser.run("document.querySelector('#phantom .stage').textContent")
    assert "times on different devices cannot be compared: one CPU; another CPU" in text
