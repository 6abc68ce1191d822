using Xunit;

namespace Kernels.Tests.Support;

/// <summary>
/// What a class tests of a test that is too long for one: classes run side by side, and rows of a class one after another. Such a test is
/// an abstract class, open in its share, and a small class for each share.
/// </summary>
public interface IShare
{
    /// <summary>Whether what stands at this place of a list belongs to the share.</summary>
    static abstract bool Has(int place);
}

/// <summary>The first of a list, the third, and so on.</summary>
public sealed class EvenPlaces : IShare
{
    public static bool Has(int place) => place % 2 == 0;
}

/// <summary>The second of a list, the fourth, and so on.</summary>
public sealed class OddPlaces : IShare
{
    public static bool Has(int place) => place % 2 != 0;
}

internal static class Share
{
    /// <summary>
    /// Rows of devices, ops and types, by op and type: what is right is computed once for all devices. Of neighbouring ops, as of
    /// neighbouring types, each has another share, since the first type of an op takes longest.
    /// </summary>
    public static TheoryData<string, string, DType> Of<TShare>(TheoryData<string, string, DType> rows)
        where TShare : IShare =>
    [
        .. rows.GroupBy(row => row.Data.Item2).SelectMany((ofOp, place) =>
            ofOp.GroupBy(row => row.Data.Item3).Where((_, turn) => TShare.Has(place + turn)).SelectMany(alike => alike)),
    ];

    /// <summary>Rows of names.</summary>
    public static TheoryData<string> Of<TShare>(TheoryData<string> rows)
        where TShare : IShare => [.. rows.Where((_, place) => TShare.Has(place))];
}
