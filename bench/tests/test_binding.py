#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_binding.py LIBRARY: peers/flashkmeans.py agrees with the library's structs; a fit and a prediction by it."""
import array
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import flashkmeans  # noqa: E402

LIBRARY = sys.argv.pop(1)


def view(values, rows, dims):
    return flashkmeans.view(values.buffer_info()[0], flashkmeans.F32, flashkmeans.HOST, 1, rows, dims)


class Binding(unittest.TestCase):
    def test_fit_and_predict(self):
        points = array.array("f", [1, 1, 1, 2, 2, 1, 8, 8, 8, 9, 9, 8])
        start = array.array("f", [0, 0, 9, 9])
        labels, centroids, inertia = array.array("i", [-1] * 6), array.array("f", [0] * 4), array.array("d", [0])
        library = flashkmeans.Library(LIBRARY, "cpu")
        params = library.fit_params(2, init=flashkmeans.INIT_CENTROIDS, init_centroids=view(start, 2, 2),
                                    stop=flashkmeans.STOP_FIXED, max_iter=3, trust_finite=1)
        result = library.fit_result(
            memory=flashkmeans.HOST, labels=labels.buffer_info()[0], centroids=centroids.buffer_info()[0],
            centroids_dtype=flashkmeans.F32, inertia=inertia.buffer_info()[0])
        self.assertGreater(library.fit_workspace(view(points, 6, 2), params, result), 0)
        library.fit(view(points, 6, 2), params, result)
        self.assertEqual(list(labels), [0, 0, 0, 1, 1, 1])
        for value, expected in zip(centroids, (4 / 3, 4 / 3, 25 / 3, 25 / 3)):
            self.assertAlmostEqual(value, expected, places=5)
        self.assertAlmostEqual(inertia[0], 8 / 3, places=5)
        self.assertTrue(result.diagnosis.kernel)
        self.assertGreaterEqual(result.diagnosis.threads, 1)
        labels[0] = -1
        library.predict(view(points, 6, 2), view(start, 2, 2), params, result)
        self.assertEqual(list(labels), [0, 0, 0, 1, 1, 1])
        library.close()

    def test_a_refusal_is_an_exception_with_the_sentence(self):
        with self.assertRaisesRegex(RuntimeError, "backend"):
            flashkmeans.Library(LIBRARY, "none")


if __name__ == "__main__":
    unittest.main()
