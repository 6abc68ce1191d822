namespace Kernels.Study;

/// <summary>Measures a network on all ranks, each of which takes some of the blocks; sums are over blocks in their order.</summary>
internal sealed class RankEvaluator(RankSetup setup, int classes) : IDisposable
{
    private const int Numbers = 2;

    private readonly Evaluator _evaluator = new(setup.Device, setup.Stream, classes);

    /// <summary>The same on every rank, for any number of ranks.</summary>
    public Score Measure(Network network, DeviceExamples examples)
    {
        int blocks = (examples.Count + Evaluator.BlockRows - 1) / Evaluator.BlockRows, ranks = setup.Link.Plan.Ranks;
        int places = (blocks + ranks - 1) / ranks;
        ulong[] own = new ulong[places * Numbers], all = new ulong[ranks * own.Length];
        for (int block = setup.Link.Plan.Rank; block < blocks; block += ranks)
        {
            (int right, double loss) = (0, 0);
            _evaluator.AddBlock(network, examples, block * Evaluator.BlockRows, ref right, ref loss);
            (own[block / ranks * Numbers], own[(block / ranks * Numbers) + 1]) = ((ulong)right, BitConverter.DoubleToUInt64Bits(loss));
        }

        Gather(own, all);
        long sum = 0;
        double losses = 0;
        for (int block = 0; block < blocks; block++)
        {
            int place = ((block % ranks * places) + (block / ranks)) * Numbers;
            sum += (long)all[place];
            losses += BitConverter.UInt64BitsToDouble(all[place + 1]);
        }

        return new Score((double)sum / examples.Count, losses / examples.Count);
    }

    public void Dispose() => _evaluator.Dispose();

    private void Gather(ulong[] own, ulong[] all)
    {
        using DeviceTensor<ulong> source = setup.Device.Upload<ulong>(own, own.Length);
        using DeviceTensor<ulong> target = setup.Device.Allocate<ulong>(all.Length);
        setup.Link.Call(setup.Stream, call => setup.Link.Collective.AllGather(call, source, target, "scores"));
        setup.Stream.Download(target, all);
    }
}
