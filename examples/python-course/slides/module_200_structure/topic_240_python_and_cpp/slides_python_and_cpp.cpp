// j2 from 'macros.j2' import header
// {{ header("Blick über den Zaun: C++", "A Look over the Fence: C++") }}

// %% [markdown] lang="de" tags=["slide"]
// ## Warum eine zweite Sprache ansehen?
//
// Wer nur eine Sprache kennt, hält ihre Eigenheiten für Naturgesetze.
// In C++ stehen die Typen im Programm, und der Compiler prüft sie, *bevor* es läuft.

// %% [markdown] lang="en" tags=["slide"]
// ## Why look at a second language?
//
// If you know only one language, you take its habits for laws of nature.
// In C++ the types are part of the program, and the compiler checks them *before* it runs.

// %% [markdown] lang="de"
// | | Python | C++ |
// |---|---|---|
// | Typen | gehören zu den Werten | gehören auch zu den Namen |
// | Prüfung | beim Ausführen | beim Übersetzen |
// | `b = a` bei Listen | zwei Namen, ein Objekt | eine vollständige Kopie |
// | Speicher | räumt der Interpreter auf | endet mit dem Gültigkeitsbereich |

// %% [markdown] lang="en"
// | | Python | C++ |
// |---|---|---|
// | Types | belong to the values | belong to the names as well |
// | Checked | while running | while compiling |
// | `b = a` for lists | two names, one object | a complete copy |
// | Memory | the interpreter tidies up | ends with the scope |

// %% [markdown] lang="de" tags=["slide"]
// ## Ein Messwert in C++
//
// Was in Python eine Dataclass war, ist hier ein `struct`.

// %% [markdown] lang="en" tags=["slide"]
// ## A reading in C++
//
// What was a dataclass in Python is a `struct` here.

// %% tags=["keep"]
#include <algorithm>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

// %%
struct Reading {
    std::string day;
    int cyclists;
    double rain{0.0};

    [[nodiscard]] bool is_rainy() const { return rain >= 0.1; }
};

// %%
std::vector<Reading> week{
    {"2024-05-13", 1842, 0.4},
    {"2024-05-14", 2015},
    {"2024-05-15", 1977},
};

// %% [markdown] lang="de" tags=["slide"]
// ## Dieselben Gedanken, andere Wörter
//
// Pythons `sum(...)` heißt hier `std::accumulate`, `max(..., key=...)` heißt `std::max_element`.

// %% [markdown] lang="en" tags=["slide"]
// ## The same ideas, other words
//
// Python's `sum(...)` is called `std::accumulate` here, `max(..., key=...)` is `std::max_element`.

// %%
int total = std::accumulate(week.begin(), week.end(), 0,
    [](int sum, const Reading& reading) { return sum + reading.cyclists; });

std::cout << total << '\n';

// %%
auto busiest = std::max_element(week.begin(), week.end(),
    [](const Reading& left, const Reading& right) { return left.cyclists < right.cyclists; });

std::cout << busiest->day << '\n';

// %% [markdown] lang="de"
// *Frage:* Wie groß ist `week` nach diesen zwei Zeilen, und wie groß wäre die Liste in Python?

// %% [markdown] lang="en"
// *Question:* What is the size of `week` after these two lines, and what would it be in Python?

// %% tags=["keep"]
auto report = week;
report.push_back({"2024-05-16", 640, 12.0});

// %% [markdown] lang="de" tags=["answer", "fragment"]
// In C++ bleibt es bei 3, denn `report` ist eine Kopie. In Python wären es 4: zwei Namen, eine Liste.

// %% [markdown] lang="en" tags=["answer", "fragment"]
// In C++ it stays at 3, because `report` is a copy. In Python it would be 4: two names, one list.

// %% [markdown] lang="de" tags=["notes"]
// 10 Minuten, ohne Übung. Es geht nicht darum, C++ zu lernen, sondern Python besser zu verstehen.
// Der Code wird hier nur gezeigt und nicht ausgeführt.

// %% [markdown] lang="en" tags=["notes"]
// 10 minutes, no exercise. The point is not to learn C++ but to understand Python better.
// The code is only shown here, not run.

// %% [markdown] lang="de" tags=["subslide"]
// ## Zum Ausprobieren
//
// Lassen Sie in `std::max_element` das `const` weg. Der Compiler schweigt. Schreiben Sie danach im
// Lambda `left.cyclists = 0;`: einmal mit, einmal ohne `const`. Was ist passiert?

// %% [markdown] lang="en" tags=["subslide"]
// ## Something to try
//
// Remove the `const` in `std::max_element`. The compiler keeps silent. Then write
// `left.cyclists = 0;` inside the lambda: once with, once without `const`. What has happened?

// %% [markdown] lang="de" tags=["answer", "fragment"]
// Mit `const` weigert sich der Compiler. Ohne `const` löscht die Suche die Daten, in denen sie sucht.

// %% [markdown] lang="en" tags=["answer", "fragment"]
// With `const` the compiler refuses. Without `const` the search erases the data it is searching.
