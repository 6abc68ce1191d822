using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// The runtime's handlers of signals. Some libraries put their own in the place, as UCX does below MPI, and a null reference of C# would
/// then end the process: they are kept before such a library is loaded, and put back when it has begun.
/// </summary>
internal sealed unsafe partial class SignalHandlers
{
    /// <summary>More than a struct sigaction takes on any Linux; what is in it is nobody's business here.</summary>
    private const int ActionBytes = 512;

    /// <summary>SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGTERM.</summary>
    private static readonly int[] Signals = [3, 4, 5, 6, 7, 8, 11, 15];

    private readonly byte[] _actions = new byte[Signals.Length * ActionBytes];

    /// <summary>The handlers as they are.</summary>
    public SignalHandlers()
    {
        fixed (byte* actions = _actions)
        {
            for (int i = 0; i < Signals.Length && OperatingSystem.IsLinux(); i++) SetAction(Signals[i], null, actions + (i * ActionBytes));
        }
    }

    /// <summary>Puts them back.</summary>
    public void Restore()
    {
        fixed (byte* actions = _actions)
        {
            for (int i = 0; i < Signals.Length && OperatingSystem.IsLinux(); i++) SetAction(Signals[i], actions + (i * ActionBytes), null);
        }
    }

    [LibraryImport("libc", EntryPoint = "sigaction")] private static partial int SetAction(int signal, byte* action, byte* oldAction);
}
