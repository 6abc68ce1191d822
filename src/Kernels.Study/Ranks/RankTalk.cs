using System.IO.Hashing;
using System.Text;

namespace Kernels.Study;

/// <summary>What ranks tell each other besides numbers of training.</summary>
internal sealed class RankTalk(RankSetup setup) : IDisposable
{
    private readonly DeviceTensor<float> _wish = setup.Device.Allocate<float>(1);

    /// <summary>Whether any rank wants it. Waits for the stream.</summary>
    public bool AnyWants(bool wants, string purpose)
    {
        float[] wish = [wants ? 1 : 0];
        setup.Stream.Upload<float>(wish, _wish);
        setup.Link.Call(setup.Stream, call => setup.Link.Collective.AllReduce(call, _wish, _wish, purpose));
        setup.Stream.Download(_wish, wish);
        return wish[0] != 0;
    }

    /// <summary>The first rank's bytes, on every rank; null where it has none.</summary>
    public byte[]? FromRoot(byte[]? bytes, string purpose)
    {
        int[] length = [bytes?.Length ?? -1];
        using (DeviceTensor<int> count = setup.Device.Upload<int>(length, 1))
        {
            Broadcast(count, purpose);
            setup.Stream.Download(count, length);
        }

        if (length[0] < 0) return null;
        byte[] result = new byte[length[0]];
        if (setup.Link.IsRoot) bytes!.CopyTo(result, 0);
        using DeviceTensor<byte> content = setup.Device.Upload<byte>(result, result.Length);
        Broadcast(content, purpose);
        setup.Stream.Download(content, result);
        return result;
    }

    /// <summary>All ranks were started to do the same.</summary>
    /// <param name="what">What this rank was started to do, all of it.</param>
    /// <exception cref="ArgumentException">A rank was started to do something else.</exception>
    public void CheckSame(string what)
    {
        ulong[] digest = [XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(what))], all = new ulong[setup.Link.Plan.Ranks];
        using DeviceTensor<ulong> own = setup.Device.Upload<ulong>(digest, 1);
        using DeviceTensor<ulong> gathered = setup.Device.Allocate<ulong>(all.Length);
        setup.Link.Call(setup.Stream, call => setup.Link.Collective.AllGather(call, own, gathered, "what to do"));
        setup.Stream.Download(gathered, all);
        int other = Array.FindIndex(all, value => value != all[0]);
        if (other > 0) throw new ArgumentException($"Rank {other} does not do what rank 0 does; rank {setup.Link.Plan.Rank}: {what}.");
    }

    public void Dispose() => _wish.Dispose();

    private void Broadcast<T>(DeviceTensor<T> tensor, string purpose)
        where T : unmanaged =>
        setup.Link.Call(setup.Stream, call => setup.Link.Collective.Broadcast(call, tensor, root: 0, purpose));
}
