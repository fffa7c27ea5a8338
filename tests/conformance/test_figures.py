"""The comparison itself: what it must see, leave out and refuse."""

import torch

import summary
from figures import Exactness, Figures, Nearness
from open_choices import at_threshold, of_row_ranks
from settings import Place


def compared(ours, peer, mask=None):
    figures = Figures()
    mask = torch.zeros(ours.shape, dtype=torch.bool) if mask is None else mask
    figures.add(ours, peer, mask, peer.float().abs())
    return figures


def test_one_flipped_bit_is_seen_in_every_type():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        peer = torch.tensor([1.0, -1.5, 0.01]).to(dtype)
        ours = peer.clone()
        word = torch.int32 if dtype == torch.float32 else torch.int16
        ours.view(word)[1] ^= 1
        found = compared(ours, peer)
        assert (found.exact, found.near, found.worst, found.same) == (0, 1, 1,
                                                                      2)
        assert compared(peer.clone(), peer).exact == 1


def test_the_sign_of_zero_is_not_equal_but_near():
    found = compared(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert (found.exact, found.near, found.worst) == (0, 1, 0)


def test_what_is_nan_in_one_result_alone_is_infinitely_far():
    found = compared(torch.tensor([1.0]), torch.tensor([float("nan")]))
    assert (found.near, found.worst) == (0, float("inf"))


def test_masked_elements_are_counted_and_not_compared():
    mask = torch.tensor([True, False])
    found = compared(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 2.0]), mask)
    assert (found.exact, found.elements, found.open) == (1, 1, 1)


def test_a_threshold_is_open_only_where_fewer_are_kept_than_are_equal():
    size = torch.tensor([3.0, 1.0, 2.0, 2.0, 0.0, 0.0])
    assert at_threshold(size, 2).tolist() == [False, False, True, True, False,
                                              False]
    assert not at_threshold(size, 3).any()
    assert not at_threshold(size, 5).any() # of zeros, any is kept or not


def test_ranks_are_open_for_equal_magnitudes_of_a_row():
    delta = torch.tensor([[1.0, -1.0, 2.0], [0.0, 0.0, 1.0]])
    assert of_row_ranks(delta, 0.5, None, None, None).tolist() == \
        [[True, True, False], [False, False, False]]


def test_settings_are_resolved_by_filter_gradient_and_level():
    first = {"model": "a", "layer_range": [0, 2],
             "parameters": {"density": [0.2, 0.4]}}
    second = {"model": "b", "layer_range": [1, 3]}
    recipe = {"slices": [{"sources": [first, second]},
                         {"sources": [{"model": "c", "layer_range": [2, 3]}]}],
              "parameters": {"density": [{"filter": "mlp", "value": [0, 1]},
                                         {"value": 0.5}]}}
    place = Place(recipe, "model.layers.1.mlp.up_proj.weight")
    (_, name), (_, other) = place.sources()
    assert (name, other) == ("model.layers.1.mlp.up_proj.weight",
                             "model.layers.2.mlp.up_proj.weight")
    assert place.value("density", 1, first, name) == 0.4
    assert place.value("density", 1, second, other) == 1
    place = Place(recipe, "model.layers.2.input_layernorm.weight")
    assert list(place.sources())[0][1] == name.replace("1.mlp.up_proj",
                                                       "2.input_layernorm")
    assert place.value("density", 1, *next(place.sources())) == 0.5
    assert place.value("gamma", 0.01) == 0.01


def test_a_summary_that_gets_worse_is_refused(tmp_path):
    key = ("ties", "bfloat16", "mergekit")
    kept = Figures(6, 180, 100, 150, 2.0, 1000, 900, 7)
    path = tmp_path / "summary.md"
    path.write_text(summary.text({key: kept}, {}, ["a note"]))
    assert summary.read(path) == {key: kept}
    assert not summary.difference({key: kept}, {key: kept})
    for change in (dict(exact=99), dict(near=149), dict(same=899),
                   dict(worst=3.5), dict(open=8), dict(tensors=179)):
        row = Figures(**{**vars(kept), **change})
        assert summary.difference({key: row}, {key: kept}), change
    better = Figures(**{**vars(kept), "exact": 101, "same": 901, "worst": 1.0})
    assert not summary.difference({key: better}, {key: kept})
    assert summary.difference({}, {key: kept})
    assert summary.difference({key: kept}, {})


def test_the_exact_result_is_rounded_before_it_is_compared():
    exact = torch.tensor([1 + 2 ** -9, 3.0], dtype=torch.float64)
    ours = torch.tensor([1.0, 3.0]).bfloat16()
    theirs = torch.tensor([1 + 2 ** -7, 3.0]).bfloat16()
    row = Exactness()
    row.add(ours, theirs, exact, torch.tensor([False, False]), ours.float())
    assert row == Exactness(2, Nearness(2, 0.25, 0.25),
                            Nearness(1, 0.75, 0.75))
