"""A search for the model that fits best: data, hyperparameters, one training for each of them, the best of all.

No package is needed but CLX: the models are polynomials, trained by gradient descent in plain Python.
"""

import random
from asyncio import gather
from dataclasses import dataclass

import clx
from clx import define


@dataclass
class Data:
    """Points to learn from, and others to judge by."""

    train: list[tuple[float, float]]
    test: list[tuple[float, float]]


@dataclass
class Hyperparameters:
    degree: int
    rate: float


@dataclass
class Model:
    hyperparameters: Hyperparameters
    weights: list[float]
    loss: float

    def __call__(self, x: float) -> float:
        return sum(weight * x**power for power, weight in enumerate(self.weights))


@define.task(name="load", version="1.0.0")
def load(points: int, seed: int) -> Data:
    """Measure a parabola, with noise: the same for the same seed."""
    chance = random.Random(seed)
    places = [chance.uniform(-1, 1) for _ in range(points)]
    found = [(x, 1 - 2 * x + 3 * x * x + chance.gauss(0, 0.1)) for x in places]
    return Data(train=found[: points // 2], test=found[points // 2 :])


@define.task(name="hyperparameters", version="1.0.0")
def hyperparameters(degrees: int) -> list[Hyperparameters]:
    """What to try."""
    return [Hyperparameters(degree, rate=0.2) for degree in range(1, degrees + 1)]


@define.task(name="train", version="1.0.0", timeout=60, max_runs=3)
def train(data: Data, epochs: int, hyperparams: Hyperparameters) -> Model:
    """Fit a polynomial by gradient descent."""
    weights = [0.0] * (hyperparams.degree + 1)
    for epoch in range(epochs):
        clx.progress(epoch, epochs, f"degree {hyperparams.degree}")
        slopes = [0.0] * len(weights)
        for x, y in data.train:
            off = sum(weight * x**power for power, weight in enumerate(weights)) - y
            for power in range(len(weights)):
                slopes[power] += 2 * off * x**power / len(data.train)
        weights = [weight - hyperparams.rate * slope for weight, slope in zip(weights, slopes, strict=True)]
    model = Model(hyperparams, weights, 0.0)
    model.loss = sum((model(x) - y) ** 2 for x, y in data.test) / len(data.test)
    return model


@define.task(name="best", version="1.0.0")
def best(models: list[Model]) -> Model:
    """The one that is least off where it has not learnt."""
    return min(models, key=lambda model: model.loss)


@define.workflow(name="search")
async def search(points: int = 400, seed: int = 1, epochs: int = 1000, degrees: int = 3) -> Model:
    """Search for the model that fits best."""
    data, tried = await gather(load(points, seed), hyperparameters(degrees))
    models = await gather(*(train(data, epochs, each) for each in tried))
    return await best(list(models))


if __name__ == "__main__":  # without workers, without a table: all of it here and now
    print(search().result())
