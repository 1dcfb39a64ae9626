"""What airplanes of six classes measure, and the columns that describe one.

Each number is a range of real aircraft: low, middle, high. For airliners span, fuselage width,
aspect ratio, chord and sweep are those of 35 types in OpenAP's tables; the other classes' spans,
aspect ratios and widths are from the published dimensions of some types each, named at the class.
Shapes of noses, tails and cabins are by eye. Only such facts are used, no file.
"""

from typing import NamedTuple

COLUMNS = {
    # Lengths are in units of the fuselage's length. A station is a share of it behind the nose.
    "span": "wing tip to wing tip",
    "aspect_ratio": "span over mean chord",
    "taper": "tip chord over root chord",
    "sweep": "degrees, of the quarter-chord line",
    "dihedral": "degrees",
    "wing_x": "station of the root's quarter chord",
    "wing_z": "height of the root: -1 belly, 0 axis, 1 back of the fuselage",
    "second_gap": "height of a second wing above the first, in mean chords; 0: none",
    "stagger": "how far the second wing lies ahead, in mean chords",
    "width": "largest width of the fuselage",
    "height_ratio": "height of the fuselage over its width",
    "nose_length": "where the fuselage narrows forward",
    "nose_radius": "roundness of the nose, in fuselage radii",
    "tail_length": "where the fuselage narrows backward",
    "tail_radius": "radius of its end, in fuselage radii",
    "upsweep": "height of its end above the axis, in fuselage radii",
    "canopy_height": "how far canopy or cabin stand above the fuselage, in its radii; 0: none",
    "canopy_x": "station of its middle",
    "canopy_length": "its length",
    "tail_span": "of the horizontal tail or canard, as a share of the wing's; 0: none",
    "tail_aspect": "its aspect ratio",
    "tail_taper": "tip chord over root chord",
    "tail_sweep": "degrees",
    "tail_x": "station of its quarter chord; on a fin, where the fin's foot is",
    "tail_z": "its height: 0 on the fuselage, 1 on top of the fin",
    "fin_height": "above the axis of the fuselage's end",
    "fin_chord": "at its foot",
    "fin_taper": "tip chord over foot chord",
    "fin_sweep": "degrees",
    "fin_x": "station of its foot's quarter chord",
    "fin_y": "distance of twin fins from the middle, in fuselage radii; 0: one fin",
    "wing_engines": "engines at each wing: 0, 1, 2",
    "engine_y": "place of the inner engine, as a share of the half span",
    "engine_gap": "from the inner to the outer, as a share of the half span",
    "engine_width": "diameter of a nacelle",
    "engine_length": "its length",
    "engine_hang": "how far below the wing, in diameters",
    "rear_engines": "a pair at the fuselage's end: 0, 1",
    "rear_engine_x": "station of its middle",
    "rear_engine_y": "distance from the middle, in fuselage radii",
    "nose_propeller": "radius of the disc; 0: none",
    "wing_propeller": "radius of the discs at the wing's engines; 0: none",
    "blend": "width of the fillets between fuselage and wings",
}
"""Names and meanings, in the order of the columns of a parameter table."""

Range = tuple[float, float, float] | float
"""Low, middle, high of a normal cut off at both ends, or one value for all."""


class Variant(NamedTuple):
    """A kind within a class, with its share and the columns that differ."""

    name: str
    share: float
    ranges: dict[str, Range]


class AirplaneClass(NamedTuple):
    """Ranges of all airplanes of a class; columns not named are 0."""

    ranges: dict[str, Range]
    variants: tuple[Variant, ...]


T_TAIL: dict[str, Range] = {"tail_z": 1.0, "fin_taper": (0.55, 0.65, 0.75)}

AIRLINER = AirplaneClass(
    {
        "span": (0.67, 0.88, 1.10),
        "aspect_ratio": (7.6, 9.5, 10.3),
        "taper": (0.20, 0.30, 0.45),
        "sweep": (0.0, 25.0, 37.5),
        "dihedral": (3.0, 5.0, 7.0),
        "wing_x": (0.34, 0.38, 0.42),
        "wing_z": (-0.8, -0.7, -0.5),
        "width": (0.076, 0.092, 0.126),
        "height_ratio": (1.0, 1.05, 1.15),
        "nose_length": (0.10, 0.13, 0.16),
        "nose_radius": (0.35, 0.45, 0.55),
        "tail_length": (0.28, 0.33, 0.38),
        "tail_radius": (0.15, 0.22, 0.30),
        "upsweep": (0.4, 0.55, 0.7),
        "tail_span": (0.32, 0.37, 0.42),
        "tail_aspect": (4.0, 4.8, 5.5),
        "tail_taper": (0.35, 0.42, 0.5),
        "tail_sweep": (25.0, 30.0, 36.0),
        "tail_x": (0.88, 0.90, 0.92),
        "fin_height": (0.15, 0.18, 0.22),
        "fin_chord": (0.14, 0.165, 0.19),
        "fin_taper": (0.3, 0.38, 0.45),
        "fin_sweep": (32.0, 37.0, 42.0),
        "fin_x": (0.83, 0.85, 0.87),
        "engine_width": (0.045, 0.058, 0.075),
        "engine_length": (0.085, 0.105, 0.13),
        "blend": (0.012, 0.018, 0.025),
    },
    (
        Variant(
            "two engines",
            0.77,
            {
                "wing_engines": 1.0,
                "engine_y": (0.30, 0.34, 0.38),
                "engine_hang": (0.65, 0.75, 0.85),
            },
        ),
        Variant(
            "four engines",
            0.12,
            {
                "wing_engines": 2.0,
                "engine_y": (0.28, 0.33, 0.38),
                "engine_gap": (0.28, 0.33, 0.38),
                "engine_hang": (0.65, 0.75, 0.85),
                "engine_width": (0.036, 0.043, 0.05),
            },
        ),
        Variant(
            "rear engines",
            0.11,
            {
                **T_TAIL,
                "rear_engines": 1.0,
                "rear_engine_x": (0.74, 0.77, 0.80),
                "rear_engine_y": (1.6, 1.75, 1.9),
                "engine_length": (0.11, 0.13, 0.15),
                "wing_x": (0.42, 0.45, 0.48),
            },
        ),
    ),
)
TURBOPROP = AirplaneClass(
    {  # ATR 42 and 72, Dash 8, Fokker 50, An-24, C-130, Twin Otter
        "span": (0.87, 1.10, 1.36),
        "aspect_ratio": (10.0, 11.5, 12.8),
        "taper": (0.45, 0.6, 0.8),
        "sweep": (0.0, 1.5, 4.0),
        "dihedral": (0.0, 2.0, 4.0),
        "wing_x": (0.40, 0.43, 0.46),
        "wing_z": (0.85, 0.93, 1.0),
        "width": (0.082, 0.106, 0.145),
        "height_ratio": (0.95, 1.0, 1.1),
        "nose_length": (0.12, 0.15, 0.18),
        "nose_radius": (0.35, 0.45, 0.55),
        "tail_length": (0.32, 0.38, 0.44),
        "tail_radius": (0.15, 0.22, 0.30),
        "upsweep": (0.4, 0.6, 0.75),
        "tail_span": (0.27, 0.31, 0.36),
        "tail_aspect": (4.0, 4.6, 5.2),
        "tail_taper": (0.5, 0.6, 0.7),
        "tail_sweep": (4.0, 8.0, 12.0),
        "tail_x": (0.89, 0.91, 0.93),
        "fin_height": (0.17, 0.20, 0.23),
        "fin_chord": (0.14, 0.165, 0.19),
        "fin_taper": (0.4, 0.5, 0.6),
        "fin_sweep": (22.0, 28.0, 34.0),
        "fin_x": (0.84, 0.86, 0.88),
        "wing_engines": 1.0,
        "engine_y": (0.28, 0.31, 0.34),
        "engine_width": (0.036, 0.045, 0.055),
        "engine_length": (0.14, 0.17, 0.20),
        "engine_hang": (0.1, 0.25, 0.4),
        "wing_propeller": (0.062, 0.072, 0.082),
        "blend": (0.012, 0.018, 0.025),
    },
    (
        Variant("T-tail", 0.6, T_TAIL),
        Variant("low tail", 0.2, {}),
        Variant(
            "four engines",
            0.2,
            {
                "wing_engines": 2.0,
                "engine_y": (0.25, 0.27, 0.29),
                "engine_gap": (0.24, 0.26, 0.28),
                "span": (1.15, 1.28, 1.36),
            },
        ),
    ),
)
GA_SINGLE = AirplaneClass(
    {  # Cessna 172, PA-28, Bonanza, SR22, DA40, Cub
        "span": (1.20, 1.38, 1.57),
        "aspect_ratio": (6.0, 7.4, 10.6),
        "taper": (0.6, 0.8, 1.0),
        "sweep": (-1.0, 0.5, 2.0),
        "width": (0.12, 0.14, 0.165),
        "height_ratio": (0.9, 1.0, 1.15),
        "nose_length": (0.16, 0.20, 0.24),
        "nose_radius": (0.4, 0.5, 0.6),
        "tail_length": (0.48, 0.54, 0.60),
        "tail_radius": (0.14, 0.2, 0.26),
        "upsweep": (0.1, 0.25, 0.4),
        "canopy_x": (0.33, 0.36, 0.39),
        "canopy_length": (0.22, 0.26, 0.30),
        "tail_span": (0.28, 0.32, 0.36),
        "tail_aspect": (3.6, 4.2, 5.0),
        "tail_taper": (0.6, 0.75, 1.0),
        "tail_sweep": (0.0, 5.0, 10.0),
        "tail_x": (0.90, 0.92, 0.94),
        "fin_height": (0.14, 0.165, 0.20),
        "fin_chord": (0.14, 0.17, 0.20),
        "fin_taper": (0.4, 0.5, 0.65),
        "fin_sweep": (15.0, 28.0, 40.0),
        "fin_x": (0.86, 0.88, 0.90),
        "nose_propeller": (0.10, 0.118, 0.135),
        "blend": (0.012, 0.018, 0.025),
    },
    (
        Variant(
            "low wing",
            0.5,
            {
                "wing_x": (0.31, 0.34, 0.37),
                "wing_z": (-0.85, -0.75, -0.6),
                "dihedral": (4.0, 5.5, 7.0),
                "canopy_height": (0.35, 0.45, 0.6),
            },
        ),
        Variant(
            "high wing",
            0.5,
            {
                "wing_x": (0.30, 0.33, 0.36),
                "wing_z": (1.15, 1.25, 1.35),
                "dihedral": (1.0, 1.8, 3.0),
                "canopy_height": (0.4, 0.5, 0.6),
            },
        ),
    ),
)
GLIDER = AirplaneClass(
    {  # ASK 13 and 21, Grob 103, PW-5, Discus, Schweizer 2-33
        "span": (1.95, 2.10, 2.28),
        "aspect_ratio": (12.0, 16.0, 21.0),
        "taper": (0.35, 0.48, 0.65),
        "sweep": (-2.0, 0.0, 2.0),
        "dihedral": (2.0, 3.0, 5.0),
        "wing_x": (0.29, 0.33, 0.37),
        "wing_z": (0.0, 0.4, 0.8),
        "width": (0.075, 0.087, 0.105),
        "height_ratio": (1.05, 1.2, 1.35),
        "nose_length": (0.18, 0.22, 0.26),
        "nose_radius": (0.3, 0.4, 0.5),
        "tail_length": (0.5, 0.56, 0.62),
        "tail_radius": (0.2, 0.27, 0.34),
        "upsweep": (0.0, 0.2, 0.4),
        "canopy_height": (0.1, 0.2, 0.3),
        "canopy_x": (0.19, 0.22, 0.25),
        "canopy_length": (0.15, 0.19, 0.23),
        "tail_span": (0.17, 0.20, 0.23),
        "tail_aspect": (5.0, 6.0, 7.0),
        "tail_taper": (0.5, 0.6, 0.75),
        "tail_sweep": (0.0, 4.0, 8.0),
        "fin_height": (0.15, 0.175, 0.20),
        "fin_chord": (0.12, 0.14, 0.16),
        "fin_sweep": (8.0, 15.0, 22.0),
        "fin_x": (0.88, 0.90, 0.92),
        "blend": (0.012, 0.018, 0.025),
    },
    (
        Variant("T-tail", 0.7, {**T_TAIL, "tail_x": (0.90, 0.92, 0.94)}),
        Variant("low tail", 0.3, {"fin_taper": (0.5, 0.6, 0.7), "tail_x": (0.88, 0.90, 0.92)}),
    ),
)
DELTA_FIGHTER = AirplaneClass(
    {  # Mirage III and 2000, F-102, F-106, Draken, Viggen, Gripen, Typhoon, Rafale
        "span": (0.53, 0.61, 0.72),
        "aspect_ratio": (1.8, 2.1, 2.6),
        "taper": (0.05, 0.10, 0.20),
        "sweep": (38.0, 47.0, 53.0),
        "dihedral": (-2.0, 0.0, 2.0),
        "wing_x": (0.47, 0.51, 0.55),
        "wing_z": (-0.5, -0.25, 0.0),
        "width": (0.09, 0.11, 0.14),
        "height_ratio": (0.85, 0.95, 1.1),
        "nose_length": (0.32, 0.38, 0.44),
        "nose_radius": (0.12, 0.17, 0.22),
        "tail_length": (0.12, 0.17, 0.22),
        "tail_radius": (0.55, 0.65, 0.75),
        "canopy_height": (0.2, 0.3, 0.4),
        "canopy_x": (0.24, 0.28, 0.32),
        "canopy_length": (0.14, 0.17, 0.20),
        "fin_height": (0.17, 0.20, 0.24),
        "fin_chord": (0.20, 0.24, 0.28),
        "fin_taper": (0.2, 0.3, 0.4),
        "fin_sweep": (38.0, 45.0, 52.0),
        "fin_x": (0.76, 0.79, 0.82),
        "blend": (0.012, 0.02, 0.03),
    },
    (
        Variant("tailless", 0.4, {}),
        Variant(
            "canard",
            0.35,
            {
                "tail_span": (0.40, 0.46, 0.52),
                "tail_aspect": (2.2, 2.6, 3.0),
                "tail_taper": (0.25, 0.32, 0.4),
                "tail_sweep": (32.0, 40.0, 46.0),
                "tail_x": (0.29, 0.32, 0.35),
                "tail_z": (0.05, 0.1, 0.15),
                "wing_x": (0.53, 0.56, 0.59),
            },
        ),
        Variant(
            "twin fins",
            0.25,
            {
                "fin_y": (0.5, 0.6, 0.7),
                "fin_height": (0.14, 0.165, 0.19),
                "fin_chord": (0.15, 0.18, 0.21),
                "width": (0.12, 0.135, 0.15),
                "height_ratio": (0.7, 0.8, 0.9),
            },
        ),
    ),
)
BIPLANE = AirplaneClass(
    {  # Stearman, Tiger Moth, Pitts, Camel, Po-2, An-2
        "span": (1.07, 1.30, 1.49),
        "aspect_ratio": (6.0, 6.5, 7.6),
        "taper": (0.9, 0.97, 1.0),
        "sweep": (0.0, 1.0, 6.0),
        "dihedral": (1.0, 2.5, 4.0),
        "wing_x": (0.27, 0.31, 0.35),
        "wing_z": (-0.9, -0.8, -0.65),
        "second_gap": (0.9, 1.0, 1.15),
        "stagger": (0.0, 0.25, 0.5),
        "width": (0.10, 0.125, 0.15),
        "height_ratio": (1.0, 1.15, 1.3),
        "nose_length": (0.10, 0.13, 0.16),
        "nose_radius": (0.55, 0.68, 0.8),
        "tail_length": (0.5, 0.58, 0.66),
        "tail_radius": (0.12, 0.18, 0.24),
        "upsweep": (0.1, 0.25, 0.4),
        "canopy_height": (0.12, 0.2, 0.3),
        "canopy_x": (0.44, 0.47, 0.5),
        "canopy_length": (0.1, 0.13, 0.16),
        "tail_span": (0.28, 0.32, 0.36),
        "tail_aspect": (3.0, 3.5, 4.0),
        "tail_taper": (0.6, 0.75, 0.9),
        "tail_sweep": (0.0, 6.0, 12.0),
        "tail_x": (0.90, 0.92, 0.94),
        "fin_height": (0.13, 0.155, 0.18),
        "fin_chord": (0.13, 0.155, 0.18),
        "fin_taper": (0.45, 0.55, 0.7),
        "fin_sweep": (10.0, 20.0, 30.0),
        "fin_x": (0.88, 0.90, 0.92),
        "nose_propeller": (0.13, 0.155, 0.18),
        "blend": (0.012, 0.018, 0.025),
    },
    (Variant("one bay", 1.0, {}),),
)
CLASSES = {
    "airliner": AIRLINER,
    "turboprop": TURBOPROP,
    "ga-single": GA_SINGLE,
    "glider": GLIDER,
    "delta-fighter": DELTA_FIGHTER,
    "biplane": BIPLANE,
}
