"""Below the table: what is not exact, and why. One line a method."""

NOTES = (
    "`arithmetic: float32`, in bfloat16 and float16: ours is rounded once, "
    "mergekit's after every operation. Where an election of signs, a threshold "
    "or a random mask's rounded probability comes out otherwise, the two are "
    "many ulp apart. All of what follows is about `arithmetic: mergekit`.",
    "`slerp`: mergekit's norms and products are float32 sums, in an order of "
    "its torch's; ours are double. In 16 bits that moves a few elements in a "
    "hundred thousand, by one step.",
    "`nuslerp`, `multislerp`, `model_stock`: the same. In float32 the last bits "
    "of all elements hang on those sums. In 16 bits mergekit rounds them, and "
    "ours, step by step, are equal to the byte; in float16 a sum is now and "
    "then so near the middle between two numbers that it is rounded the other "
    "way.",
    "`multislerp`, float16: a task vector of zeros makes mergekit divide 0 by "
    "an `eps` that float16 rounds to 0: NaN, of mergekit and of "
    "`arithmetic: mergekit`, and the \"inf\" of `arithmetic: float32`, which is "
    "finite.",
    "`karcher`: the same, and its angles are of cosines near 1, where the last "
    "bit of a sum is worth thousands.",
    "`ties`, `breadcrumbs`, `breadcrumbs_ties`, `dare_linear`, `dare_ties`, "
    "`della_linear`, `della` in float32: only what is rescaled differs. The "
    "factor is the quotient of two float32 sums of mergekit's torch, whose last "
    "bits hang on its CPU and threads.",
    "Random methods whose `slices` take a layer twice are not among the recipes: "
    "mergekit draws for the two in no order that its documents give.",
    "`sce`: in float32, as above, by its means. In 16 bits only tensors with a "
    "tie differ: which of the equal variances are taken enters the means, and "
    "these weigh every element.",
    "`arcee_fusion`: mergekit's softmax in float32 is off by up to 2 % where "
    "two rows are near; elements next to the threshold are chosen otherwise. "
    "Each choice is right or wrong as a whole, which makes the ulp large.",
)
