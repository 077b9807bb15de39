using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace MigrationD.Guest.Threads;

/// <summary>
/// The signal that takes a thread out of the kernel: out of KVM_RUN, and out of a <see cref="TryCopy"/> that waits for a missing
/// page.
/// </summary>
/// <remarks>
/// <para>A managed signal handler is not possible, so the handler is a few native instructions, assembled once per process. It
/// does nothing but return, unless the thread was interrupted inside the copy routine: then it lets the routine return "not
/// copied". This is what the kernel does for its own copies with an exception table.</para>
/// <para>A thread that waits in a userfault wakes up for a signal (handle_userfault in fs/userfaultfd.c waits interruptibly), runs
/// the handler, and faults again when the instruction is repeated; the handler therefore has to move the instruction pointer.</para>
/// </remarks>
internal static unsafe class KickSignal
{
    /// <summary>A real-time signal that neither the C library (32, 33) nor .NET (34) uses.</summary>
    public const int Number = 39;

    // ucontext_t on x86-64: uc_flags 8, uc_link 8, uc_stack 24, then the registers; RIP is REG_RIP (16) of them.
    private const int InstructionPointerInContext = 40 + 16 * 8;

    private static readonly delegate* unmanaged<void*, void*, nuint, int> CopyRoutine = Install();

    /// <summary>Installs the handler, once per process. Called before the first thread that may be kicked starts.</summary>
    public static void EnsureInstalled() => _ = CopyRoutine;

    /// <summary>Sends the signal to a thread of this process; false when there is no such thread any more.</summary>
    public static bool Send(int thread)
    {
        // Without a handler the signal would end the process, whoever it was meant for.
        EnsureInstalled();
        if (Libc.Tgkill(Libc.Getpid(), thread, Number) == 0)
        {
            return true;
        }

        return SystemCallException.LastError == Errno.ESRCH
            ? false
            : throw SystemCallException.FromLast($"tgkill thread={thread} signal={Number}");
    }

    /// <summary>
    /// Copies <paramref name="length"/> bytes, waiting for missing pages; false when this thread was kicked meanwhile, and the destination
    /// is partly written.
    /// </summary>
    public static bool TryCopy(void* destination, void* source, int length) =>
        CopyRoutine(destination, source, (nuint)length) != 0;

    private static delegate* unmanaged<void*, void*, nuint, int> Install()
    {
        (byte[] code, int handler) = Assemble();
        nint page = Libc.Mmap(
            0, 4096, Libc.MemoryProtection.Read | Libc.MemoryProtection.Write, Libc.MapFlags.Private | Libc.MapFlags.Anonymous, -1, 0);
        if (page == Libc.MapFailed)
        {
            throw SystemCallException.FromLast("mmap length=0x1000 for the signal handler");
        }

        // SAFETY: the page was mapped above, writable and larger than the code; it is never unmapped, because a late signal may
        // still run it.
        code.CopyTo(new Span<byte>((void*)page, 4096));
        if (Libc.Mprotect(page, 4096, Libc.MemoryProtection.Read | Libc.MemoryProtection.Execute) != 0)
        {
            throw SystemCallException.FromLast($"mprotect address=0x{page:x} length=0x1000 read+execute for the signal handler");
        }

        var action = new Libc.SignalAction { Handler = page + handler, Flags = Libc.SaSiginfo | Libc.SaRestart };
        if (Libc.Sigaction(Number, &action, null) != 0)
        {
            throw SystemCallException.FromLast($"sigaction signal={Number}");
        }

        return (delegate* unmanaged<void*, void*, nuint, int>)page;
    }

    /// <summary>The code, with the copy routine in front, and where in it the handler is.</summary>
    private static (byte[] Code, int Handler) Assemble()
    {
        var assembler = new Assembler(64);
        Label copy = assembler.CreateLabel();
        Label copyEnd = assembler.CreateLabel();
        Label aborted = assembler.CreateLabel();
        Label handler = assembler.CreateLabel();
        Label otherwise = assembler.CreateLabel();

        // int copy(void* destination /* rdi */, void* source /* rsi */, size_t length /* rdx */)
        assembler.mov(rcx, rdx);
        assembler.Label(ref copy);
        assembler.rep.movsb();
        assembler.Label(ref copyEnd);
        assembler.mov(eax, 1);
        assembler.ret();

        // Nothing was pushed above, so the routine can return from any of its instructions.
        assembler.Label(ref aborted);
        assembler.xor(eax, eax);
        assembler.ret();

        // void handler(int signal /* rdi */, siginfo_t* /* rsi */, ucontext_t* context /* rdx */)
        assembler.Label(ref handler);
        assembler.mov(rax, __[rdx + InstructionPointerInContext]);
        assembler.lea(rcx, __[copy]);
        assembler.cmp(rax, rcx);
        assembler.jb(otherwise);
        assembler.lea(rcx, __[copyEnd]);
        assembler.cmp(rax, rcx);
        assembler.jae(otherwise);
        assembler.lea(rcx, __[aborted]);
        assembler.mov(__[rdx + InstructionPointerInContext], rcx);
        assembler.Label(ref otherwise);
        assembler.ret();

        using var stream = new MemoryStream();
        AssemblerResult result = assembler.Assemble(
            new StreamCodeWriter(stream), 0, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return (stream.ToArray(), (int)result.GetLabelRIP(handler));
    }
}
