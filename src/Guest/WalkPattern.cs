namespace MigrationD.Guest;

/// <summary>The order in which a guest visits the pages of its working set.</summary>
public enum WalkPattern
{
    /// <summary>One page after the other, over and over.</summary>
    Sequential = 1,

    /// <summary>Each page equally likely.</summary>
    Uniform = 2,

    /// <summary>A few pages most of the time (Zipf's law, exponent 1).</summary>
    Zipf = 3,
}
