using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// A key in device memory draws the same bits as the key itself, in each entry of each op that draws. Null, disposed, on another device or
/// of another shape it is refused before any launch.
/// </summary>
public sealed class DeviceKeyTheory(TestDevices devices)
{
    [Theory]
    [MemberData(nameof(CaseRows.DevicesAndOpsWithKeys), MemberType = typeof(CaseRows))]
    public void KeyInDeviceMemory_DrawsTheSame_AndAWrongOneIsRefused(string deviceId, string op)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        Device device = stream.Device;

        // Devices of their own: the counters of the shared one move with the tests beside this one.
        using Device counting = Device.Open(deviceId), other = Device.Open("cpu");
        using DeviceStream refusing = counting.CreateStream();
        List<string> failures = [];
        bool tookKey = false;
        foreach (Trial trial in Calls(CaseRows.Op(op)))
        {
            using GuardedTensors expected = new(stream, trial.Specs), actual = new(stream, trial.Specs);
            trial.Op.Run(stream, trial.Problem, trial.DType, expected);
            KeyOnDevice drawing = new(actual, key => device.Upload<ulong>([key.Seed, key.Offset], 2));
            trial.Op.Run(stream, trial.Problem, trial.DType, drawing);
            if (!drawing.WasAsked) continue;
            tookKey = true;
            foreach (string name in trial.Results.Select(spec => spec.Name))
            {
                if (!expected.Read(name).AsSpan().SequenceEqual(actual.Read(name)))
                    failures.Add($"{trial.Problem}: {name} has other bits");
            }

            using GuardedTensors untouched = new(refusing, trial.Specs);
            Refuses<ArgumentNullException>(_ => null!);
            Refuses<ArgumentException>(_ => counting.Allocate<ulong>(3));
            Refuses<ArgumentException>(_ => other.Allocate<ulong>(2));
            Refuses<ObjectDisposedException>(_ =>
            {
                DeviceTensor<ulong> key = counting.Allocate<ulong>(2);
                key.Dispose();
                return key;
            });

            void Refuses<TException>(Func<RandomKey, DeviceTensor<ulong>> key)
                where TException : Exception
            {
                long launches = counting.Counters.Launches;
                KeyOnDevice wrong = new(untouched, key);
                Exception? thrown = Record.Exception(() => trial.Op.Run(refusing, trial.Problem, trial.DType, wrong));
                if (thrown is not TException || !thrown.Message.Contains(trial.Op.ApiName, StringComparison.OrdinalIgnoreCase))
                    failures.Add($"{trial.Problem}: {typeof(TException).Name} expected, not {thrown?.ToString() ?? "nothing"}");
                if (counting.Counters.Launches != launches) failures.Add($"{trial.Problem}: launched with a wrong key");
            }
        }

        Assert.True(tookKey, "no entry takes a key");
        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    /// <summary>The largest small call of each entry.</summary>
    private static IEnumerable<Trial> Calls(OpCase op) =>
        op.Problems.Where(CaseRun.IsSmall).GroupBy(problem => problem.Entry)
            .Select(alike => new Trial(op, alike.MaxBy(problem => problem.Bytes(elementBytes: 1))!, op.DTypes[0]));

    private sealed class KeyOnDevice(DeviceTensors inner, Func<RandomKey, DeviceTensor<ulong>> place) : DeviceTensors
    {
        public bool WasAsked { get; private set; }

        public override IReadOnlyList<TensorSpec> Specs => inner.Specs;

        public override DeviceTensor<T> Get<T>(string name) => inner.Get<T>(name);

        public override RandomKeySource Key(RandomKey key)
        {
            WasAsked = true;
            return place(key);
        }
    }
}
