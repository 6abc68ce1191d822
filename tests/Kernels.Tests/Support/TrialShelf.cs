using Kernels.Verification;

namespace Kernels.Tests.Support;

/// <summary>
/// The trials of an op in a type, kept as long as rows of it follow one another: what is right is then computed once for all devices.
/// </summary>
/// <remarks>For one theory, whose rows run one after another.</remarks>
internal sealed class TrialShelf
{
    private readonly Dictionary<(Problem, string), Trial> _trials = [];
    private (OpCase, DType)? _owner;

    /// <summary>The trial of a problem, or of a variation of it, which is made where it is not on the shelf.</summary>
    public Trial Get(OpCase op, Problem problem, DType dtype, string variation, Func<Trial> make)
    {
        if (_owner != (op, dtype))
        {
            _owner = (op, dtype);
            _trials.Clear();
        }

        if (!_trials.TryGetValue((problem, variation), out Trial? trial)) _trials[(problem, variation)] = trial = make();
        return trial;
    }
}
