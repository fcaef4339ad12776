"""The published choices, each stated once: defaults of the functions and of the study file; lengths in σ, times in τ."""

# hop indicator and labels
WINDOW = 10.0  # t_R
REARRANGING = 0.2  # σ², p_S: a particle rearranges where p_hop is above
RESTING = 0.05  # σ², p_H: a particle rests where p_hop is below
SOFT_SEPARATION = 10.0
HARD_SEPARATION = 80.0

# structure functions and softness
RADII = (0.4, 3.0, 0.1)  # μ: first, last, step
WIDTH = 0.1  # Δμ
EXAMPLES_PER_CLASS = 10_000
C = 1.0  # inverse strength of the penalty

# neighbourhoods
NEIGHBORHOOD = 2.1  # r_c of averages
DENSITY_CUTOFF = 4.5

# strata
STRATA = 5
PERCENTILES = (5.0, 95.0)

# radial distribution functions
R_MAX = 5.0
BIN_WIDTH = 0.02

# inherent structures
FORCE_TOLERANCE = 1e-5  # ε/σ, of the root mean square force per particle

# propensity
TRAJECTORIES = 32  # of a configuration
PER_DECADE = 4  # lags
GENERATIONS, MOST_GENERATIONS = 4, 20  # of neighbours, over which structural variables and features are averaged
FOLDS = 5

# simulation
TIMESTEPS = (1 / 200, 1 / 250, 1 / 320, 1 / 400, 1 / 500, 1 / 640, 1 / 800, 1 / 1000)  # to choose from

# relaxation: LAGS lags from each of ORIGINS origins, in a run of at most LONGEST τ_α
Q_PEAK = 7.14  # 1/σ: first peak of the structure factor
ORIGINS = 10
LAGS = 30
LONGEST = 60.0
