"""FeatureMapBrowser: each block's maps, with their shapes, and a picture that does not fit."""

import numpy as np

import labkit
from labkit.widgets.feature_maps import FeatureMapBrowser


def test_every_block_can_be_looked_at(small_net):
    model = labkit.build_classifier(small_net(), 2)
    image = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    browser = FeatureMapBrowser(model, image)
    browser.prepare()
    browser.refresh()
    for number, name in enumerate(labkit.block_names(model)):
        browser._receive(None, {"control": "block", "value": number, "token": ""}, [])
        height, width, channels = browser.maps()[name].shape
        assert browser._parts["name"] == f"{name}: {channels} maps of {height} x {width}"
        assert 'alt="' in browser._parts["maps"]
        assert browser._values["block"]["value"] == str(number)
    assert str(browser).count("maps of") == len(labkit.block_names(model))
    assert "vary most" in browser.plain_html()


def test_a_picture_of_another_size_is_a_sentence(small_net):
    browser = FeatureMapBrowser(small_net(), np.zeros((8, 8, 3)))
    browser.refresh()
    assert "takes images of the shape" in browser._page
    assert "takes images of the shape" in browser.plain_html()
    assert "takes images of the shape" in str(browser)
