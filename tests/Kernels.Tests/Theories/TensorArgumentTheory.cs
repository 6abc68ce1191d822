using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// Each tensor of each call is tried null, disposed and on another device, and the stream null. The call is refused before any launch,
/// with the exact exception, which names the op and, for each tensor, another argument. An argument that may be null is refused properly
/// or not at all.
/// </summary>
public sealed class TensorArgumentTheory(TestDevices devices)
{
    /// <summary>Ops whose cases do something else with the stream before they call the op: most make an object on its device.</summary>
    private static readonly HashSet<string> UsesTheStreamBefore =
        ["adam", "adamw", "embedding-dropout", "lion", "norm-penalty", "parameter-snapshot", "rmsprop", "sgd", "tied-gradients"];

    private enum Harm
    {
        Null,
        Disposed,
        OtherDevice,
    }

    [Theory]
    [MemberData(nameof(CaseRows.DevicesAndOps), MemberType = typeof(CaseRows))]
    public void WrongTensor_IsRefusedBeforeAnyLaunch(string deviceId, string op)
    {
        devices.Open(deviceId);

        // Devices of their own: the counters of the shared one move with the tests beside this one.
        using Device device = Device.Open(deviceId), other = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        List<string> failures = [];
        int tried = 0;
        foreach (Trial trial in Calls(CaseRows.Op(op)))
        {
            using GuardedTensors tensors = new(stream, trial.Specs);
            string? withoutStream = FailureOfNoStream(trial, tensors);
            if (withoutStream is not null) failures.Add($"{trial.Problem}: no stream: {withoutStream}");
            foreach (Harm harm in Enum.GetValues<Harm>())
            {
                Dictionary<string, string> tensorOf = [];
                foreach (string name in trial.Specs.Select(spec => spec.Name)
                    .Where(name => trial.Op.UseOf(trial.Problem, name) != ArgumentUse.None))
                {
                    long launches = device.Counters.Launches;
                    HarmedTensors harmed = new(tensors, other, name, harm);
                    Exception? thrown = Record.Exception(() => trial.Op.Run(stream, trial.Problem, trial.DType, harmed));
                    string? failure = Failure(trial, name, harm, thrown, tensorOf);
                    if (thrown is not null && device.Counters.Launches != launches) failure ??= $"launched, then {thrown.Message}";
                    if (failure is not null) failures.Add($"{trial.Problem}: {name} {harm}: {failure}");
                    tried++;
                }
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} failures\n{string.Join('\n', failures)}");
        Assert.NotEqual(0, tried);
    }

    /// <summary>What is wrong with the answer to a call without a stream, or null.</summary>
    private static string? FailureOfNoStream(Trial trial, DeviceTensors tensors)
    {
        if (UsesTheStreamBefore.Contains(trial.Op.Op)) return null;
        Exception? thrown = Record.Exception(() => trial.Op.Run(null!, trial.Problem, trial.DType, tensors));
        return thrown is ArgumentNullException { ParamName: "stream" }
            && thrown.Message.Contains(trial.Op.ApiName, StringComparison.OrdinalIgnoreCase) ? null : $"{thrown}";
    }

    /// <summary>
    /// What is wrong with an answer, or null. <paramref name="tensorOf"/> says which tensor was refused under which name before.
    /// </summary>
    private static string? Failure(Trial trial, string tensor, Harm harm, Exception? thrown, Dictionary<string, string> tensorOf)
    {
        bool isOptional = harm == Harm.Null && trial.Op.UseOf(trial.Problem, tensor) == ArgumentUse.Optional;
        if (thrown is null) return isOptional ? null : "was taken";
        (Type expected, string? argument) = (harm, thrown) switch
        {
            (Harm.Disposed, ObjectDisposedException e) => (typeof(ObjectDisposedException), e.ObjectName),
            (Harm.Disposed, _) => (typeof(ObjectDisposedException), null),
            (Harm.Null, ArgumentException e) => (isOptional ? thrown.GetType() : typeof(ArgumentNullException), e.ParamName),
            (_, ArgumentException e) => (typeof(ArgumentException), e.ParamName),
            _ => (typeof(ArgumentException), null),
        };
        if (thrown.GetType() != expected) return $"{thrown.GetType().Name}: {thrown.Message}";
        if (!thrown.Message.Contains(trial.Op.ApiName, StringComparison.OrdinalIgnoreCase))
            return $"does not name the op: {thrown.Message}";
        if (string.IsNullOrEmpty(argument)) return $"names no argument: {thrown.Message}";
        return tensorOf.TryAdd(argument, tensor) ? null : $"was refused as {argument}, as {tensorOf[argument]} was";
    }

    /// <summary>A call of each kind: by its entry and the tensors it takes.</summary>
    private static IEnumerable<Trial> Calls(OpCase op) =>
        op.Problems.Where(CaseRun.IsSmall).Select(problem => new Trial(op, problem, op.DTypes[0]))
            .Where(trial => trial.Specs.All(spec => spec.Length > 0))
            .GroupBy(trial => $"{trial.Problem.Entry} {string.Join(' ', trial.Specs.Select(spec => spec.Name))}")
            .Select(alike => alike.First());

    private sealed class HarmedTensors(DeviceTensors inner, Device other, string harmed, Harm harm) : DeviceTensors
    {
        public override DeviceTensor<T> Get<T>(string name)
        {
            DeviceTensor<T> tensor = inner.Get<T>(name);
            if (name != harmed) return tensor;
            if (harm == Harm.Null) return null!;
            DeviceTensor<T> wrong = (harm == Harm.Disposed ? tensor.Device : other).Allocate<T>(tensor.Shape);
            if (harm == Harm.Disposed) wrong.Dispose();
            return wrong;
        }
    }
}
