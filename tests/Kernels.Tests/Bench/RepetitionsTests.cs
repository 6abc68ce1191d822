using Kernels.Benchmarks;
using Xunit;

namespace Kernels.Tests.Bench;

public sealed class RepetitionsTests
{
    private static readonly RepetitionPlan TwoAndThree = new(WarmUps: 2, Minimum: 3, Maximum: 3, TimeSpan.Zero);

    [Fact]
    public void ContestantsTakeTurns()
    {
        List<char> order = [];
        Contestant Named(char name) => new(() =>
        {
            order.Add(name);
            return default;
        });

        Repetitions.Run(TwoAndThree, Named('a'), Named('b'), Named('c'));

        Assert.Equal("abcabcabcabcabc", string.Concat(order));
    }

    [Fact]
    public void WarmUpsDoNotCount()
    {
        Queue<double> times = new([1000, 1000, 1, 3, 2]);
        Contestant contestant = new(() => new Timing(times.Peek(), 10 * times.Dequeue()));

        Repetitions.Run(TwoAndThree, contestant);

        Assert.Equal(3, contestant.Count);
        Assert.Equal(new MedianTiming(new(2, 1, 3), new(20, 10, 30)), contestant.Medians);
    }

    [Fact]
    public void TheBudgetEndsTheRunBetweenMinimumAndMaximum()
    {
        Contestant patient = new(() => default), hurried = new(() => default);

        Repetitions.Run(new RepetitionPlan(0, 2, 30, TimeSpan.FromMinutes(1)), patient);
        Repetitions.Run(new RepetitionPlan(0, 2, 30, TimeSpan.Zero), hurried);

        Assert.Equal(30, patient.Count);
        Assert.Equal(2, hurried.Count);
    }

    [Fact]
    public void APeerThatIsTooSlowLeavesTheRaceBeforeItIsMeasured()
    {
        Contestant ours = new(() => new Timing(30_000, 1));
        Contestant peer = new(() => new Timing(30_000, 1), patience: TimeSpan.FromSeconds(10));

        Repetitions.Run(TwoAndThree, ours, peer);

        Assert.Equal("a call takes 30 s; the bench waits for 10 s", peer.Failure);
        Assert.Equal(0, peer.Count);
        Assert.Equal(3, ours.Count);
    }

    [Fact]
    public void APeerThatFailsLeavesTheRace()
    {
        int turns = 0;
        Contestant ours = new(() => new Timing(1, 1));
        Contestant peer = new(() => ++turns == 4 ? throw new PeerException("no more") : default);

        Repetitions.Run(TwoAndThree, ours, peer);

        Assert.Equal("no more", peer.Failure);
        Assert.Equal(4, turns);
        Assert.Equal(3, ours.Count);
        Assert.Null(ours.Failure);
    }

    [Fact]
    public void AFailureOfOursIsNotSwallowed() =>
        Assert.Throws<DeviceException>(() => Repetitions.Run(TwoAndThree, new Contestant(() => throw new DeviceException("lost"))));
}
