namespace MigrationD.TestSupport;

/// <summary>What a test needs of the machine beyond .NET.</summary>
[Flags]
public enum Needs
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>A userfaultfd with UFFDIO_MOVE (Linux 6.8).</summary>
    Userfaultfd = 1,

    /// <summary>A usable /dev/kvm.</summary>
    Kvm = 2,

    /// <summary>The root user.</summary>
    Root = 4,

    /// <summary>A C compiler, as cc.</summary>
    CCompiler = 8,

    /// <summary>Node.js and npm, for the official gRPC client.</summary>
    Node = 16,

    /// <summary>Network namespaces of the test's own, joined and cut: root, iproute2 with ss, iptables, and a kernel that lets them.</summary>
    NetworkNamespaces = 32,

    /// <summary>groff with the man macros, which sets man pages.</summary>
    Groff = 64,

    /// <summary>bash.</summary>
    Bash = 128,

    /// <summary>A terminal to run a program on: script of util-linux, and sh.</summary>
    Terminal = 256,

    /// <summary>Chromium, as chromium, for the page that a daemon serves.</summary>
    Chromium = 512,

    /// <summary>The source of <see cref="PreviousVersion"/>: git, and a clone with its history.</summary>
    PreviousVersion = 1024,

    /// <summary>What native code is linked with: clang or gcc.</summary>
    NativeCode = 2048,
}
