namespace MigrationD.Guest.Userfault;

/// <summary>In which ways pages of a block of 2 MiB came.</summary>
[Flags]
public enum BlockPaths
{
    /// <summary>None came.</summary>
    None = 0,

    /// <summary>Some were asked for.</summary>
    Urgent = 1,

    /// <summary>Some were sent by the source of its own accord.</summary>
    Push = 2,

    /// <summary>Some were zeros, which come without content, on either path.</summary>
    Zero = 4,
}
