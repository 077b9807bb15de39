namespace MigrationD.Guest.Userfault;

/// <summary>Which way a page came.</summary>
public enum PagePath
{
    /// <summary>Asked for, because the guest waits for it.</summary>
    Urgent,

    /// <summary>Sent by the source of its own accord.</summary>
    Push,
}
