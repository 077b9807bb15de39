using System.Runtime.InteropServices;
using MigrationD.Daemon.Interop;

namespace MigrationD.Daemon.Cli.Terminal;

/// <summary>File descriptor 1 for bytes as they are, by write(2) and unbuffered.</summary>
/// <remarks>
/// The stream of <see cref="Console"/> drops what is written to a pipe that nobody reads any more; this one fails, so that a command that
/// goes on for ever ends with its reader. A <see cref="FileStream"/> would fail as well, but keeps a position of its own in a file, and
/// would write over what standard error has written into the same one.
/// </remarks>
internal sealed class StandardOutput : Stream
{
    /// <summary>errno of a pipe that nobody reads any more; in <see cref="Exception.HResult"/> of what is thrown.</summary>
    public const int BrokenPipe = 32;

    private const int Descriptor = 1;
    private const int Interrupted = 4;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <exception cref="IOException">write(2) failed; its errno is the HResult.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            nint written = Libc.Write(Descriptor, in MemoryMarshal.GetReference(buffer), buffer.Length);
            if (written >= 0)
            {
                buffer = buffer[(int)written..];
            }
            else if (Marshal.GetLastPInvokeError() is var error and not Interrupted)
            {
                throw new IOException(Marshal.GetPInvokeErrorMessage(error), error);
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
        // Nothing is held back.
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
