namespace MigrationD.Daemon.Threading;

/// <summary>
/// A named thread for work that may block: on a socket, on a userfault, on vCPUs. The thread pool must stay free of such work,
/// because what ends the wait may need the pool.
/// </summary>
internal static class DedicatedThread
{
    /// <summary>Runs <paramref name="work"/>; the task ends with it, after the thread has left the work.</summary>
    public static Task Start(string name, Action work) => Start<object?>(name, () =>
    {
        work();
        return null;
    });

    /// <summary>Runs <paramref name="work"/>; the task carries its result.</summary>
    public static Task<T> Start<T>(string name, Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        })
        {
            Name = name,
            IsBackground = true,
        };
        thread.Start();
        return done.Task;
    }
}
