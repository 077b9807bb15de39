using System.Runtime.ExceptionServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>A thread of a test: what it throws, <see cref="Join"/> throws; it never keeps the process alive.</summary>
internal sealed class TestThread
{
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    public TestThread(string name, Action run)
    {
        _thread = new Thread(() =>
        {
            try
            {
                run();
            }
            catch (Exception error)
            {
                _failure = ExceptionDispatchInfo.Capture(error);
            }
        })
        {
            IsBackground = true,
            Name = name,
        };
        _thread.Start();
    }

    public void Join()
    {
        TestPages.AssertJoins(_thread);
        _failure?.Throw();
    }
}
