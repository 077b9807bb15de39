namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// The turn of one push lane to send a message, for one thread. What is sent with it counts as pushed, what is sent without it as urgent:
/// what has not waited is not made up for beyond what the others can be held back for.
/// </summary>
internal sealed class PushTurn(PushPace pace) : IDisposable
{
    private bool _isMine;
    private bool _isPostcopy;

    /// <summary>Blocks until it is this lane's turn, as <see cref="PushPace.Wait"/> does; not at all when it still is.</summary>
    public bool Wait(bool isPostcopy, Func<bool> isPointless)
    {
        if (!_isMine)
        {
            _isMine = pace.Wait(isPostcopy, isPointless);
            _isPostcopy = isPostcopy;
        }

        return _isMine;
    }

    /// <summary>Counts a message that goes now, and ends the turn.</summary>
    public void Send(long bytes)
    {
        if (_isMine)
        {
            _isMine = false;
            pace.Pushed(bytes, _isPostcopy);
        }
        else
        {
            pace.SentUrgently(bytes);
        }
    }

    /// <summary>Gives the turn to others, as nothing goes for now.</summary>
    public void GiveBack()
    {
        if (_isMine)
        {
            _isMine = false;
            pace.GiveBack();
        }
    }

    public void Dispose() => GiveBack();
}
