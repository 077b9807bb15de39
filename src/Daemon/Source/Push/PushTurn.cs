namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// The turn of one push lane to send a message, for one thread. What is sent with it counts as pushed, what is sent without it as urgent:
/// whatever has not waited is not made up for beyond what the others can be held back for.
/// </summary>
/// <param name="pace">That of all lanes.</param>
internal sealed class PushTurn(PushPace pace) : IDisposable
{
    private bool _isMine;
    private bool _isPostcopy;

    /// <summary>Blocks until it is this lane's turn; at once when it still is.</summary>
    /// <param name="isPostcopy">Whether the guest has been switched over.</param>
    /// <param name="isPointless">Asked at least ten times a second; true ends the wait.</param>
    /// <returns>Whether it is; false when there is no point in it any more.</returns>
    public bool Wait(bool isPostcopy, Func<bool> isPointless)
    {
        if (!_isMine)
        {
            _isMine = pace.Wait(isPostcopy, isPointless);
            _isPostcopy = isPostcopy;
        }

        return _isMine;
    }

    /// <summary>A message of so many bytes goes now, and the turn is over.</summary>
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

    /// <summary>Nothing goes for now: others may.</summary>
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
